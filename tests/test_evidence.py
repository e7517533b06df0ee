"""What runs say together, on made runs whose answer is known."""

from __future__ import annotations

from itertools import product
from math import inf, log

import numpy as np
import pandas as pd
import pytest

from divergan import evidence

OBJECTIVES = ("bce", "kl", "pearson", "reverse_kl")


def runs(fid, *, seeds: int = 5, losses=("alternative",), regularisers=("none",)) -> pd.DataFrame:
    """A row a run; `fid(objective, loss, regulariser, seed)` is its FID, None for a run that diverged."""
    rows = []
    for objective, loss, regulariser, seed in product(OBJECTIVES, losses, regularisers, range(seeds)):
        value = fid(objective, loss, regulariser, seed)
        arm = f"{loss}_{regulariser}"
        rows.append({
            "key": f"{objective}.{arm}-s{seed}", "variant": f"{objective}.{arm}", "objective": objective,
            "label": objective.upper(), "arm": arm, "seed": seed, "outcome": "finished" if value else "diverged",
            "fid": value or 900.0, "generator_loss": loss, "regulariser_kind": regulariser,
        })  # fmt: skip
    return pd.DataFrame(rows)


def place(objective: str) -> int:
    return OBJECTIVES.index(objective)


def test_a_run_that_did_not_finish_or_has_no_value_is_worse_than_any():
    table = pd.DataFrame(
        {"outcome": ["finished", "diverged", "collapsed", "finished"], "fid": [np.e, 1.0, 1.0, np.nan]}
    )
    assert evidence.log_fid(table).tolist() == pytest.approx([1.0, inf, inf, inf])


def test_a_variant_with_a_failed_run_ranks_last_and_its_failures_have_an_interval():
    def fid(objective, _loss, _regulariser, seed):
        return None if objective == "bce" and seed == 3 else 10.0 * (1 + place(objective)) + seed / 10

    table = evidence.ranks_table(runs(fid)).set_index("variant")
    bce, kl = table.loc["bce.alternative_none"], table.loc["kl.alternative_none"]
    assert (bce["rank"], kl["rank"]) == (4, 1)  # its other runs are the lowest of all
    assert bce["low"] == 1  # a table drawn without the failed run puts it first
    assert (bce["failed"], bce["runs"], kl["failed"]) == (1, 5, 0)
    # Clopper-Pearson of 0 of 5 has the closed form 1 - 0.025^(1/5)
    assert kl["failed_high"] == pytest.approx(1 - 0.025 ** (1 / 5))


def test_one_run_is_enough_where_seeds_do_not_matter_and_a_coin_where_only_they_do():
    clear = evidence.one_run_table(runs(lambda o, _l, _r, s: 10.0 ** (1 + place(o)) * (1 + 0.01 * s)))
    assert (clear[["pair", "best", "order"]] == 1).all().all()
    random = np.random.default_rng(3)
    noise = evidence.one_run_table(runs(lambda *_: random.lognormal(4, 0.5), seeds=40)).set_index("seeds")
    assert 0.5 <= noise.loc[1, "pair"] <= 0.65  # the pairs' order among 40 runs is chance, so near a coin
    assert noise.loc[1, "order"] < 0.2
    assert noise["pair"].is_monotonic_increasing


def test_an_arm_with_too_few_seeds_a_variant_tells_nothing_of_one_run():
    assert evidence.one_run_table(runs(lambda *_: 50.0, seeds=4)).empty


def by_features(**fids) -> pd.DataFrame:
    """A row a run and feature set."""
    parts = [runs(fid).assign(features=name, features_label=name.upper()) for name, fid in fids.items()]
    return pd.concat(parts, ignore_index=True)


def test_feature_sets_that_agree_and_one_that_turns_the_order_round():
    table = evidence.agreement_table(
        by_features(
            a=lambda o, _l, _r, s: 10.0 * (1 + place(o)) + s,
            b=lambda o, _l, _r, s: 1000.0 * (1 + place(o)) + s,
            c=lambda o, _l, _r, s: 100.0 / (1 + place(o)) + s / 100,
        )
    ).set_index(["a", "b"])
    assert table.loc[("a", "b"), "tau"] == 1
    assert table.loc[("a", "c"), "tau"] == -1
    assert table.loc[("a", "b"), "seeds"] == 5
    assert table.loc[("a", "c"), ["a_label", "b_label"]].tolist() == ["A", "C"]


def test_agreement_counts_a_failed_run_as_worst():
    def failing(o, _l, _r, s):
        return None if o == "bce" else 10.0 * (1 + place(o)) + s

    table = evidence.agreement_table(by_features(a=failing, b=lambda o, _l, _r, s: 10.0 * (1 + place(o)) + s))
    # bce is last instead of first: 3 of the 6 pairs are turned round
    assert table["tau"].iloc[0] == pytest.approx(0)


CROSSED = {"losses": ("alternative", "bound"), "regularisers": ("none", "R1")}


def test_variance_goes_to_the_factor_that_makes_it():
    random = np.random.default_rng(0)
    table = runs(lambda _o, _l, r, _s: (100 if r == "R1" else 400) * random.lognormal(0, 0.05), seeds=3, **CROSSED)
    shares = evidence.variance_table(table).set_index("factor")["share"]
    assert shares["regulariser"] > 0.95
    assert shares.sum() == pytest.approx(1, abs=0.02)
    assert set(shares.index) >= {"objective", "generator loss", "regulariser", "seed"}


def test_variance_of_an_arm_that_is_not_crossed_is_of_objective_and_seed():
    random = np.random.default_rng(0)
    shares = evidence.variance_table(runs(lambda o, *_: 50 * (1 + place(o)) * random.lognormal(0, 0.02)))
    assert set(shares["factor"]) == {"objective", "seed"}
    assert shares.set_index("factor").loc["objective", "share"] > 0.95


def test_ablation_picks_what_fails_least_and_then_the_lowest_mean():
    def fid(objective, loss, regulariser, seed):
        if objective == "kl":  # without R1 lowest, but a run failed
            return 50.0 if regulariser == "R1" else (None if seed == 1 else 10.0)
        return {"alternative": 40.0, "bound": 30.0}[loss] + (5 if regulariser == "none" else 0) + seed

    table = evidence.ablation_table(runs(fid, seeds=2, **CROSSED))
    assert len(table) == 4 * len(OBJECTIVES)
    picked = table[table["picked"]].set_index("objective")
    assert len(picked) == len(OBJECTIVES)
    assert picked.loc["kl", "regulariser"] == "R1"
    assert picked.loc["bce", ["generator_loss", "regulariser"]].tolist() == ["bound", "R1"]
    assert picked.loc["bce", "fid"] == pytest.approx(np.exp((log(30) + log(31)) / 2))  # the geometric mean
    failed = table[(table["objective"] == "kl") & (table["regulariser"] == "none")]
    assert failed["n_failed"].tolist() == [1, 1]
    assert failed["fid"].tolist() == pytest.approx([10.0, 10.0])  # of the run that finished


def test_a_study_that_is_not_crossed_has_no_ablation():
    assert evidence.ablation_table(runs(lambda *_: 50.0)).empty


def controls(copies: float) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    table = runs(lambda *_: 50.0).assign(nearest_training_distance=6.0)
    found = {"fid_unrescaled": 90.0, "fid_training_reference": 45.0, "fid_as_released": 85.0, "held_out_distance": 5.5,
             "copied_share": copies}  # fmt: skip
    rows = [{"key": key, **found} for key in (*table["key"], "real")]
    return table, pd.DataFrame({"metric": ["fid"], "floor": [8.0]}), pd.DataFrame(rows)


def test_controls_stand_beside_what_they_are_read_against():
    table = evidence.controls_table(*controls(0.5)).set_index("name")
    assert table.loc["real-unrescaled", ["value", "beside"]].tolist() == [90.0, 8.0]
    assert table.loc["bce.alternative_none-unrescaled", ["value", "beside"]].tolist() == pytest.approx([90.0, 50.0])
    assert table.loc["bce.alternative_none-copies", ["value", "beside"]].tolist() == [0.5, 0.01]
    assert not any(name.startswith("kl") for name in table.index)


def two_arms(factor, *, failed=()) -> pd.DataFrame:
    """Runs of the arms "first_none" and "second_none"; FIDs of the second are `factor` times the first's."""

    def fid(objective, arm, _regulariser, seed):
        if (objective, arm, seed) in failed:
            return None
        return 10.0 * (1 + seed) * (factor(objective, seed) if arm == "second" else 1)

    table = runs(fid, losses=("first", "second"))
    return table.assign(generator_loss="bound")  # so that the study is not crossed


def test_arms_are_compared_by_pairs_of_seeds():
    """Seeds differ fivefold, and the ratio of each pair is 1.2 to within a hundredth."""
    table = evidence.arm_effects_table(two_arms(lambda _, seed: 1.2 + 0.01 * (seed - 2)))
    assert list(table["name"]) == list(OBJECTIVES)
    assert set(table["arm"]) == {"second_none"} and set(table["against"]) == {"first_none"}
    assert table["effect"].to_numpy() == pytest.approx(1.2, rel=1e-3)
    assert ((table["low"] > 1.15) & (table["high"] < 1.25) & (table["n"] == 5)).all()


def test_the_levels_of_arms_are_holms_over_their_variants():
    """The clear effect is judged at 1 - 0.05 / 4; what is the same in both arms has p = 1 or none that is small."""
    wobble = (0.9, 1.1, 1.0, 0.95, 1.05)
    arms = two_arms(lambda o, s: 2.0 + s / 100 if o == "bce" else wobble[s])
    table = evidence.arm_effects_table(arms).set_index("name")
    assert table.loc["bce", "level"] == pytest.approx(1 - 0.05 / 4)
    assert table.loc["bce", "p_adjusted"] == pytest.approx(4 * table.loc["bce", "p"])
    assert (table.loc[["kl", "pearson", "reverse_kl"], "p_adjusted"] > 0.5).all()


def test_a_failed_run_counts_against_its_arm():
    failed = {("kl", "second", 0), ("kl", "second", 1), ("kl", "second", 2), ("pearson", "first", 4)}
    table = evidence.arm_effects_table(two_arms(lambda *_: 0.9, failed=failed)).set_index("name")
    assert list(table["failed"]) == [0, 3, 1, 0]
    assert table.loc["bce", "effect"] == pytest.approx(0.9)
    assert table.loc["kl", "high"] > 1  # most of its pairs are as bad as can be


def test_arms_pair_what_both_have_and_equal_seeds_alone():
    table = two_arms(lambda *_: 1.1)
    kept = table[~((table["arm"] == "second_none") & ((table["objective"] == "kl") | (table["seed"] > 2)))]
    compared = evidence.arm_effects_table(kept)
    assert list(compared["name"]) == ["bce", "pearson", "reverse_kl"]
    assert set(compared["n"]) == {3}
    assert evidence.arm_effects_table(table[table["arm"] == "first_none"]).empty
    one = evidence.arm_effects_table(table[table["seed"] == 0])
    assert set(one["n"]) == {1} and one["low"].isna().all()


def test_the_arms_of_a_crossed_study_are_the_ablations():
    crossed = runs(lambda o, _l, _r, s: 10.0 + s, losses=("alternative", "bound"), regularisers=("none", "r1"))
    assert evidence.is_crossed(crossed)
    assert evidence.arm_effects_table(crossed).empty
