"""What samplers and weights come to, on made runs whose answer is known."""

from __future__ import annotations

from math import exp, inf, log, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from divergan.claims import read
from divergan.claims.judging import judge
from divergan.comparison import ComparisonError
from divergan.sampler_evidence import break_even_table, effects_table, frontier_table, sampled_runs, weights_summary

ROOT = Path(__file__).parents[1]
PRIOR = [100.0, 60.0, 240.0, 90.0, 150.0]  # FIDs of five generators: what differs between them is no sampler's doing
NOISE = [1.01, 0.99, 1.02, 0.98, 1.0]
STUCK = None

PILOT = {"drs": 500}  # proposals, each through G and D, on top of what an image takes

# entry: method, weights, FID as a multiple of the prior's, acceptance, rows of G, D and w and gradient steps an image
ENTRIES: dict[str, tuple[str, str, float, float, tuple[int, int, int, int]]] = {
    "prior": ("prior", "", 1.0, 1.0, (1, 0, 0, 0)),
    "truncation": ("truncation", "", 1.3, 1.0, (1, 0, 0, 0)),
    "latent_rs": ("latent_rs", "learned", 0.8, 0.25, (1, 0, 4, 0)),
    "latent_rs_as_printed": ("latent_rs", "as_printed", 1.5, 0.5, (1, 0, 2, 0)),
    "random_rejection": ("random_rejection", "learned", 1.0, 0.25, (1, 0, 4, 0)),
    "trained_on": ("trained_on", "learned", 0.9, 1.0, (1, 0, 0, 0)),
    "drs": ("drs", "", 0.7, 0.25, (4, 4, 0, 0)),
    "ddls": ("ddls", "", 0.72, 1.0, (1, 0, 0, 10)),
}
METRICS = ("fid", "precision", "kid")


def sampled(variant: str = "bce.stabilised", entries: Any = ENTRIES, **changed: list[float | None]) -> pd.DataFrame:
    """A samplers table; `changed` gives an entry's multiples of the prior's FID by seed, None where it was stuck."""
    rows = []
    for name, (method, weights, multiple, acceptance, (g, d, w, steps)) in entries.items():
        noise = [1.0] * 5 if name == "prior" else NOISE
        multiples = changed.get(name, [multiple * k for k in noise])
        for seed, factor in enumerate(multiples):
            images, pilot = 1000 if factor else 0, PILOT.get(name, 0)
            rows.append({
                "key": f"{variant}-s{seed}", "variant": variant, "objective": variant.partition(".")[0],
                "label": "BCE", "arm": variant.partition(".")[2], "seed": seed, "run_outcome": "finished",
                "sampler": name, "sampler_label": name.upper(), "method": method, "weights": weights,
                "outcome": "drawn" if factor else "stuck", "reason": "", "images": images,
                "draws": round(1000 / acceptance) + pilot, "pilot": pilot,
                "generator_evaluations": 1000 * g + pilot, "critic_evaluations": 1000 * d + pilot,
                "own_generator": method == "trained_on", "weight_evaluations": 1000 * w, "gradient_steps": 1000 * steps,
                "acceptance": acceptance if factor else np.nan,
                "fid": PRIOR[seed] * factor if factor else np.nan,
                "precision": 0.5 / factor + 0.01 * seed if factor else np.nan,
            })  # fmt: skip
    return pd.DataFrame(rows)


def effect(table: pd.DataFrame, sampler: str, against: str = "prior", metric: str = "fid") -> pd.Series:
    rows = table[(table["sampler"] == sampler) & (table["against"] == against) & (table["metric"] == metric)]
    (row,) = rows.to_dict("records")
    return row


# --- effects


def test_effects_are_paired_ratios_of_fids_as_computed_by_hand():
    row = effect(effects_table(sampled(), ["fid"]), "drs")
    logs = np.log(0.7) + np.log(NOISE)  # what the generators have in common is gone
    assert row["effect"] == pytest.approx(exp(logs.mean()))
    half = stats.t.ppf((1 + row["level"]) / 2, 4) * logs.std(ddof=1) / sqrt(5)
    assert [row["low"], row["high"]] == pytest.approx([exp(logs.mean() - half), exp(logs.mean() + half)])
    assert (row["scale"], row["n"], row["failed"]) == ("ratio", 5, 0)
    assert row["p"] == pytest.approx(stats.ttest_1samp(logs, 0).pvalue)
    unpaired = stats.ttest_ind(np.log(PRIOR), np.log(PRIOR) + logs, equal_var=False).pvalue
    assert row["p"] < 0.01 < unpaired


def test_other_metrics_are_paired_differences():
    table = sampled()
    row = effect(effects_table(table, ["precision"]), "drs", metric="precision")
    ours, theirs = (table[table["sampler"] == name]["precision"].to_numpy() for name in ("drs", "prior"))
    assert (row["scale"], row["n"]) == ("difference", 5)
    assert row["effect"] == pytest.approx((ours - theirs).mean())
    assert row["low"] < row["effect"] < row["high"]
    assert row["effect"] > 0


def test_metrics_are_those_asked_for_that_the_table_has_in_their_order():
    assert list(effects_table(sampled(), ("precision", "fid", "kid"))["metric"].unique()) == ["precision", "fid"]


def test_pairs_are_of_equal_seeds_whatever_the_order_of_the_rows():
    table = sampled()
    shuffled = table.sample(frac=1, random_state=3)
    a, b = (effects_table(own, METRICS).set_index(["sampler", "against", "metric"]) for own in (table, shuffled))
    names = ["effect", "low", "high", "p"]
    pd.testing.assert_frame_equal(a[names], b[names].reindex(a.index))


def test_every_sampler_stands_against_every_control_and_controls_against_the_prior():
    table = effects_table(sampled(), ["fid"])
    controls = table.groupby("sampler")["against"].apply(list).to_dict()
    everything = ["prior", "random_rejection", "trained_on"]
    assert controls.pop("random_rejection") == controls.pop("trained_on") == ["prior"]
    assert controls == dict.fromkeys(("truncation", "latent_rs", "latent_rs_as_printed", "drs", "ddls"), everything)
    assert effect(table, "latent_rs", "random_rejection")["effect"] == pytest.approx(0.8)
    assert effect(table, "latent_rs", "trained_on")["effect"] == pytest.approx(0.8 / 0.9)


def test_a_control_of_the_same_weights_goes_before_another():
    own = {"random_as_printed": ("random_rejection", "as_printed", 3.0, 0.5, (1, 0, 2, 0))}
    table = effects_table(sampled(entries=own | ENTRIES), ["fid"])
    labels = {name: effect(table, name, "random_rejection")["against_label"] for name in ("latent_rs", "drs")}
    assert labels == {"latent_rs": "RANDOM_REJECTION", "drs": "RANDOM_AS_PRINTED"}
    assert effect(table, "latent_rs_as_printed", "random_rejection")["effect"] == pytest.approx(0.5)


def test_holm_runs_over_the_samplers_of_a_variant_metric_and_control():
    noisy = {name: [k * x for k, x in zip(NOISE, (1.1, 0.97, 0.9, 1.0, 1.03), strict=True)] for name in ("drs", "ddls")}
    both = pd.concat([sampled(**noisy), sampled("kl.stabilised")], ignore_index=True)
    table = effects_table(both, ["fid", "precision"])
    for _, own in table.groupby(["variant", "metric", "against"]):
        p, adjusted = own["p"].to_numpy(), own["p_adjusted"].to_numpy()
        smallest = p.argmin()
        assert adjusted[smallest] == pytest.approx(len(p) * p[smallest])
        assert own["level"].max() == pytest.approx(1 - 0.05 / len(p))
        nothing = 1 if own["metric"].iloc[0] == "fid" else 0
        excludes = (own["low"] > nothing) | (own["high"] < nothing)
        assert ((own["p_adjusted"] < 0.05) == excludes).all()
    assert table.groupby(["variant", "metric", "against"]).size().unique().tolist() == [7, 5]


@pytest.mark.parametrize("how", ["stuck", "diverged"])
def test_a_failure_is_worst_in_fid_and_left_out_and_counted_elsewhere(how):
    table = sampled(drs=[0.7, 0.69, 0.71, 0.7, STUCK if how == "stuck" else 0.01])
    if how == "diverged":
        table.loc[(table["seed"] == 4) & (table["sampler"] == "drs"), "run_outcome"] = "diverged"
    found = effects_table(table, METRICS)
    fid, precision = effect(found, "drs"), effect(found, "drs", metric="precision")
    assert (fid["n"], fid["failed"], fid["high"]) == (5, 1, inf)
    assert (precision["n"], precision["failed"]) == (4, 1)
    assert precision["effect"] == pytest.approx(0.5 * np.mean([1 / k - 1 for k in (0.7, 0.69, 0.71, 0.7)]))


def test_a_generator_that_failed_has_no_sampler_to_compare():
    table = sampled()
    table["run_outcome"] = "collapsed"
    found = effects_table(table, METRICS)
    assert (found["failed"] == 5).all()
    assert found[["effect", "low", "high", "p", "p_adjusted", "level"]].isna().all().all()


def test_one_seed_has_an_effect_and_no_interval():
    row = effect(effects_table(sampled().query("seed == 2"), ["fid"]), "drs")
    assert row["effect"] == pytest.approx(0.7 * 1.02)
    assert np.isnan([row["low"], row["high"], row["p"], row["level"]]).all()


def test_a_seed_that_is_there_twice_is_refused():
    table = pd.concat([sampled(), sampled().query("sampler == 'drs' and seed == 1")])
    for tabulate in (lambda t: effects_table(t, METRICS), frontier_table, lambda t: sampled_runs(pd.DataFrame(), t)):
        with pytest.raises(ComparisonError, match=r"'drs' of 'bce\.stabilised-s1' twice"):
            tabulate(table)


# --- frontier


def test_the_frontier_by_hand():
    table = frontier_table(sampled()).set_index("sampler")
    cost = {"prior": 1, "latent_rs": 5, "latent_rs_as_printed": 3, "drs": 8, "ddls": 31, "trained_on": 1}
    assert table["evaluations"][list(cost)].to_dict() == cost
    assert table.loc["drs", ["acceptance", "fid_ratio"]].to_list() == pytest.approx([0.25, 0.7], rel=1e-3)
    assert table.loc["prior", ["fid_ratio", "low", "high"]].to_list() == [1, 1, 1]
    assert set(table.index[table["efficient"]]) == {"prior", "latent_rs", "drs"}  # trained_on is a control
    moved = sampled().assign(own_generator=lambda t: t["sampler"].isin(["trained_on", "latent_rs"]))
    kept = frontier_table(moved).set_index("sampler")["efficient"]
    assert set(kept.index[kept]) == {"prior", "drs"}, (
        "a generator that was trained on is not cheap for being sampled so"
    )
    half = stats.t.ppf(0.975, 4) * np.log(NOISE).std(ddof=1) / sqrt(5)
    drs = table.loc["drs"]
    assert log(drs["high"] / drs["fid_ratio"]) == pytest.approx(half)
    assert log(drs["fid_ratio"] / drs["low"]) == pytest.approx(half)


def test_each_variant_has_a_frontier_of_its_own():
    best = {"prior": ENTRIES["prior"], "drs": ("drs", "", 0.1, 1.0, (1, 0, 0, 0))}
    table = frontier_table(pd.concat([sampled("kl.stabilised", best), sampled()], ignore_index=True))
    assert table.set_index(["variant", "sampler"])["efficient"]["bce.stabilised", "latent_rs"]


def test_what_was_stuck_costs_nothing_that_was_drawn_and_is_worst():
    stuck = frontier_table(sampled(drs=[0.7, 0.69, 0.71, 0.7, STUCK])).set_index("sampler").loc["drs"]
    assert (stuck["evaluations"], stuck["acceptance"], stuck["high"]) == (8, 0.25, inf)
    never = frontier_table(sampled(prior=[1.0] * 5, drs=[STUCK] * 5)).set_index("sampler").loc["drs"]
    assert (never["fid_ratio"], never["efficient"]) == (inf, False)


# --- break-even


def seconds(samplers: pd.DataFrame, rates: dict[str, list[float]], pilot: float = 0.0) -> pd.DataFrame:
    rows = samplers[samplers["sampler"].isin(rates)][["key", "sampler", "seed"]]
    rate = [rates[name][seed] for name, seed in zip(rows["sampler"], rows["seed"], strict=True)]
    drawing = [1000 / r + pilot for r in rate]
    return rows.assign(images_per_second=rate, seconds=drawing, pilot_seconds=pilot).drop(columns="seed")


def trained_in(samplers: pd.DataFrame, times: dict[str, list[float]]) -> pd.DataFrame:
    keys = list(samplers["key"].unique())
    return pd.DataFrame(
        {"key": key, "weights": name, "seconds": time}
        for name, own in times.items()
        for key, time in zip(keys, own, strict=True)
    )


def test_break_even_by_hand():
    table = sampled()
    rates = {
        "prior": [5000.0] * 5, "latent_rs": [1000.0] * 5, "drs": [500.0, 500.0, 500.0, 800.0, 250.0],
        "ddls": [2000.0] * 5, "random_rejection": [900.0] * 5,
    }  # fmt: skip
    trained = trained_in(table, {"learned": [10.0, 20.0, 30.0, 10.0, 9.0]})
    rows = break_even_table(table, seconds(table, rates), trained).set_index("against")
    assert list(rows.index) == ["drs", "ddls"], "the prior judges nothing, and random rejection has the weights too"
    drs = rows.loc["drs"]
    # 1 ms saved an image: 10,000, 20,000, 30,000 images; 0.25 ms: 40,000; 3 ms: 3,000
    assert drs[["images", "low", "high"]].to_list() == pytest.approx([20_000, 3_000, 40_000])
    assert drs[["reweight_seconds", "latent_rs_milliseconds", "against_milliseconds"]].to_list() == [10, 1, 2]
    assert drs[["weights", "against_label"]].to_list() == ["learned", "DRS"]
    assert rows.loc["ddls", ["images", "low", "high"]].to_list() == [inf, inf, inf]
    with_pilot = break_even_table(table, seconds(table, rates, pilot=5.0), trained).set_index("against").loc["drs"]
    # the pilot's five seconds are paid once, too: 5, 15 and 25 s at 1 ms, 5 s at 0.25 ms, 4 s at 3 ms
    assert with_pilot[["images", "low", "high"]].to_list() == pytest.approx([15_000, 4000 / 3, 25_000])
    assert with_pilot["pilot_seconds"] == 5.0


def test_break_even_where_latent_rs_saves_time_in_some_runs_only():
    table = sampled()
    rates = {"latent_rs": [1000.0] * 5, "drs": [500.0, 500.0, 500.0, 1000.0, 2000.0]}
    (row,) = break_even_table(
        table, seconds(table, rates), trained_in(table, {"learned": [10.0] * 5})
    ).to_dict("records")  # fmt: skip
    assert (row["images"], row["low"], row["high"]) == (pytest.approx(10_000), pytest.approx(10_000), inf)


def test_weights_break_even_by_their_own_training():
    table = sampled()
    rates = {"latent_rs": [1000.0] * 5, "latent_rs_as_printed": [2000.0] * 5, "drs": [500.0] * 5}
    trained = trained_in(table, {"learned": [10.0] * 5, "as_printed": [3.0] * 5})
    rows = break_even_table(table, seconds(table, rates), trained).set_index("weights")
    assert rows["images"].to_dict() == pytest.approx({"learned": 10_000, "as_printed": 2_000})


def test_a_run_that_was_stuck_breaks_nothing_even():
    table = sampled(drs=[STUCK, 0.7, 0.7, 0.7, 0.7])
    rates = {"latent_rs": [1000.0] * 5, "drs": [999.0, 500.0, 500.0, 500.0, 500.0]}
    rows = break_even_table(table, seconds(table, rates), trained_in(table, {"learned": [10.0] * 5}))
    assert rows["high"].to_list() == pytest.approx([10_000])


# --- weights


def test_weights_are_summed_up_with_those_that_failed():
    rows = [
        {"variant": "bce.stabilised", "label": "BCE", "arm": "stabilised", "seed": seed, "weights": "released",
         "weights_label": "As released", "outcome": outcome, "w_mean": mean, "w_max": 1.0, "acceptance": mean / 3,
         "ess": 1.0}
        for seed, (outcome, mean) in enumerate([("constant", 1.0), ("finished", 0.8), ("diverged", np.nan)])
    ]  # fmt: skip
    (row,) = weights_summary(pd.DataFrame(rows)).to_dict("records")
    assert (row["n"], row["finished"]) == (3, 1)
    half = 12.7062 * 0.2 / sqrt(2) / sqrt(2)  # t(0.975, 1) from tables, standard deviation 0.2 / √2, two runs
    assert half > 0.9, "weights are not below 0, nor shares above 1: there their intervals end"
    assert [row["w_mean"], row["w_mean_low"], row["w_mean_high"]] == pytest.approx([0.9, 0, 0.9 + half], abs=1e-5)
    ends = [row["acceptance_low"], row["acceptance_high"]]
    assert ends == pytest.approx([0, 0.3 + half / 3], abs=1e-5) and ends[1] < 1
    assert [row["w_max"], row["w_max_low"], row["w_max_high"]] == [1, 1, 1]


def test_tables_of_a_study_without_samplers_are_empty_with_their_columns():
    nothing = pd.DataFrame()
    for table in (effects_table(nothing, METRICS), frontier_table(nothing), break_even_table(*[nothing] * 3),
                  weights_summary(nothing)):  # fmt: skip
        assert len(table) == 0
        assert "variant" in table
    runs = pd.DataFrame({"variant": ["bce.stabilised"]})
    assert sampled_runs(runs, nothing) is runs


# --- claims


def trained(samplers: pd.DataFrame) -> pd.DataFrame:
    """The runs that were sampled, as the compare step has them."""
    prior = samplers[samplers["method"] == "prior"]
    facts = {"outcome": "finished", "step": np.nan, "overlapping": False, "generator_loss": "bound",
             "regulariser": "R1", "regulariser_kind": "R1", "training_images": 2500, "recall": 0.7}  # fmt: skip
    identity = ["key", "variant", "objective", "label", "arm", "seed", "fid", "precision"]
    return prior[identity].assign(**facts).reset_index(drop=True)


def test_sampled_runs_keep_what_the_run_is_and_take_the_samplers_metrics():
    table = sampled(drs=[0.7, 0.7, 0.7, 0.7, STUCK])
    runs = trained(table)
    runs.loc[1, "outcome"] = "diverged"
    extended = sampled_runs(runs, table)
    pd.testing.assert_frame_equal(extended.iloc[:5][runs.columns], runs, check_dtype=False)
    assert set(extended["variant"][5:]) == {f"bce/{name}.stabilised" for name in ENTRIES}
    assert not extended["key"].duplicated().any()
    drs = extended[extended["variant"] == "bce/drs.stabilised"]
    assert drs["outcome"].to_list() == ["finished", "diverged", "finished", "finished", "finished"]
    assert drs["fid"].to_list()[:4] == pytest.approx([0.7 * fid for fid in PRIOR[:4]])
    assert np.isnan([drs["fid"].iloc[4], drs["evaluations"].iloc[4]]).all()
    assert drs["recall"].isna().all(), "what no sampler measured is not the run's own"
    assert drs["evaluations"].to_list()[:4] == [8] * 4
    assert (drs["training_images"] == 2500).all()
    assert set(extended.columns) == {*runs.columns, "evaluations", "own_generator"}


def verdicts(samplers: pd.DataFrame) -> pd.DataFrame:
    published = pd.read_csv(ROOT / "data/published.csv", dtype={"n_samples": str, "training_images": str})
    claims = [claim for claim in read(ROOT / "claims.yaml") if claim.family == "latent-reweighting"]
    return judge(
        claims, sampled_runs(trained(samplers), samplers), published=published, features="digits", n_samples=1000,
        training_images={"bce.stabilised": 2500}, checksums={},
    ).set_index("id")  # fmt: skip


def test_the_projects_claims_of_latent_re_weighting_on_samplers_that_are_as_expected():
    released = {"latent_rs_released": ("latent_rs", "released", 1.0, 0.33, (1, 0, 3, 0))}
    rows = verdicts(sampled(entries=ENTRIES | released))
    expected = {
        "latent-rs-lowers-fid": "reproduced",
        "latent-rs-raises-precision": "reproduced",
        "released-latent-rs-lowers-fid": "undecided",
        "released-latent-rs-raises-precision": "undecided",
        "printed-latent-rs-lowers-fid": "not reproduced",
        "printed-latent-rs-raises-precision": "not reproduced",
        "latent-rs-fid-near-prior": "not reproduced",
        "latent-rs-below-random-rejection": "reproduced",
        "latent-rs-more-precise-than-random-rejection": "reproduced",
        "latent-rs-cheaper-than-drs": "reproduced",
        "latent-rs-fid": "not comparable",
        "latent-rs-precision": "not comparable",
    }
    assert rows["verdict"].to_dict() == expected
    assert set(rows["arm"]) == {"stabilised"}
    assert exp(rows.loc["latent-rs-lowers-fid", "effect"]) == pytest.approx(0.8, rel=1e-3)
    assert rows.loc["latent-rs-cheaper-than-drs", "effect"] == pytest.approx(log(5 / 8))


def test_a_sampler_that_was_stuck_is_not_left_out_of_a_claim():
    rows = verdicts(sampled(latent_rs=[0.8, 0.8, 0.8, 0.8, STUCK]))
    assert rows.loc["latent-rs-lowers-fid", ["method", "n_x", "verdict"]].to_list() == [
        "exact worst-rank", 5, "undecided",
    ]  # fmt: skip
    assert rows.loc["latent-rs-cheaper-than-drs", "n_x"] == 5
    assert rows.loc["released-latent-rs-lowers-fid", "reason"] == "not run in this study: bce/latent_rs_released"


def test_a_claim_on_a_sampler_whose_generator_was_trained_on_says_so():
    moved = sampled().assign(own_generator=lambda t: t["sampler"].isin(["trained_on", "latent_rs"]))
    told = verdicts(moved)
    of_latent_rs = told["variant"] == "bce/latent_rs"
    judged = told["p"].notna()
    assert (told.loc[of_latent_rs & judged, "reason"] == "the generator was trained on meanwhile").all()
    assert (of_latent_rs & judged).any()
    assert not verdicts(sampled())["reason"].str.contains("trained on meanwhile").any()
