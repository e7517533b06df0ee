"""The evidence in the report: every section where its table is, its words and numbers those of the tables."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from divergan.figures import Tables
from divergan.report import compile_pdf
from divergan.report.evidence import percent, picked_by_rule
from divergan.report.wording import text
from synthetic_report import content, words
from synthetic_report import write as write_with_pictures
from synthetic_tables import tables

SECTIONS = {
    "claims": "Verdicts on the published claims",
    "controls": "Controls",
    "agreement": "Do the features decide?",
    "one_run": "What one run can tell",
    "arm_effects": "The arms beside each other",
    "ablation": "Which settings train each objective",
}
EVIDENCE = (*SECTIONS, "feature_fids", "variance")
write = partial(write_with_pictures, pictures=False)


@pytest.fixture(scope="module")
def study():
    return tables(arms=("released", "stabilised"), seeds=2, judged=True)


@pytest.fixture(scope="module")
def page(study, tmp_path_factory):
    return words(write(tmp_path_factory.mktemp("judged"), study))


def test_the_tables_of_the_evidence_are_empty_by_default():
    bare = tables(seeds=1)
    assert {f.name for f in fields(Tables)} >= set(EVIDENCE)
    assert all(getattr(bare, name).empty for name in EVIDENCE)
    made = content(bare)
    assert all(made[key] == [] for key in (*SECTIONS, "variance", "claim_counts"))


def test_a_study_without_evidence_has_none_of_its_sections(tmp_path):
    page = words(write(tmp_path, tables(seeds=1)))
    assert not [title for title in SECTIONS.values() if title in page]
    assert "verdicts on published claims" not in page


@pytest.mark.parametrize("name", SECTIONS)
def test_each_section_stands_where_its_table_has_rows(name: str, study, page, tmp_path):
    assert SECTIONS[name] in page
    bare = {name: getattr(study, name)[:0]}
    if name == "one_run":  # the section holds the shares of variance, too
        bare["variance"] = study.variance[:0]
    assert SECTIONS[name] not in words(write(tmp_path, replace(study, **bare)))


def test_the_answer_and_the_section_count_the_verdicts(page):
    counted = (
        "15 verdicts on published claims, one for each claim and arm: 4 reproduced, 2 not reproduced, 6 undecided, "
        "2 not comparable and 1 could not have been measured."
    )
    answer, _, rest = page.partition("What is trained")
    assert counted in answer
    assert counted in rest


def test_every_claim_has_evidence_p_verdict_and_seeds(study, page):
    assert (
        "KL reaches a higher FID than BCE [N, Table 2] , margin 1.10 released FID 8.17 times as high [3.32, ∞] at "
        "99.17 %, 5 pairs, paired t < 0.001 reproduced"
    ) in re.sub(r"\[\d+,", "[N,", page)
    assert "5 pairs, paired t 0.080 undecided 14" in page
    assert "features: digits here, inception there – not comparable –" in page
    assert "the released re-weighting could not have worked – could not have been measured –" in page
    assert all(page.count(says) for says in study.claims["says"])


def test_claims_are_grouped_by_family_and_arms_by_claim(study):
    families = content(study)["claims"]
    names = [family["name"] for family in families]
    assert [name.lower().replace(" ", "-") for name in names] == list(study.claims["family"].unique())
    assert names[0] == "Table 2 order"
    assert content(renamed(study, "gan-is-bce"))["claims"][0]["name"] == "GAN is BCE"
    assert [row["arm"] for row in families[0]["claims"][0]["rows"]] == ["released", "stabilised"]
    assert sum(len(claim["rows"]) for family in families for claim in family["claims"]) == len(study.claims)


def test_findings_set_the_losses_beside_bce_with_their_ratios():
    (arm,) = content(tables(seeds=5, judged=True))["arms"]
    told = {group["verdict"]: [list(loss.values()) for loss in group["losses"]] for group in arm["beside_bce"]}
    assert list(told) == ["reproduced", "undecided", "not reproduced"]
    assert told["reproduced"] == [["Kullback-Leibler", False, "8.17", "3.32", "∞"]]
    assert [name for name, *_ in told["undecided"]] == ["Pearson χ²"]


def test_a_loss_that_differs_from_bce_in_more_than_the_loss_is_marked(tmp_path):
    study = replace(tables(seeds=5, judged=True), ablation=pd.DataFrame())
    kl = study.claims["variant"] == "kl"
    told = study.claims.assign(reason=study.claims["reason"].mask(kl, "regulariser: spectral norm against R1"))
    page = words(write(tmp_path, replace(study, claims=told), pictures=False))
    assert "Kullback-Leibler* (8.17 [3.32, ∞])" in page
    assert page.count("* Not the loss alone") == 1
    assert "* Not the loss alone" not in words(write(tmp_path, study, pictures=False))


def test_the_feature_sets_that_agree_least_are_named(study, page):
    row = study.agreement.loc[study.agreement["tau"].idxmin()]
    assert f"the orders agree least between {row['a_label']} and {row['b_label']}, with" in page


def test_verdicts_without_chance_are_counted_apart(study):
    exact = study.claims["id"] == study.claims["id"].iloc[0]
    claims = study.claims.assign(test=study.claims["test"].mask(exact, "definition"))
    told = content(replace(study, claims=claims))["claims_exact"]
    assert sum(count["n"] for count in told) == exact.sum()
    assert content(study)["claims_exact"] == []


def test_the_arms_are_set_beside_each_other_among_the_findings(study, page):
    (own,) = content(study)["arms_apart"]
    effects = study.arm_effects
    assert (own["least"], own["most"]) == (text(effects["effect"].min()), text(effects["effect"].max()))
    assert own["sure"] == (effects["p_adjusted"] < 0.05).sum()
    assert f"the stabilised arm has {own['least']} to {own['most']} times the FID of the released arm" in page


def test_who_is_first_by_each_feature_set_is_said(study):
    ahead = study.feature_fids.assign(
        fid=study.feature_fids["fid"].mask(study.feature_fids["variant"] == "gan.stabilised", 0.1)
    )
    told = {row["arm"]: row for row in content(replace(study, feature_fids=ahead))["best_by_features"]}
    sets = study.feature_fids["features"].nunique()
    assert told["stabilised"] == {"arm": "stabilised", "sets": sets, "first": [{"label": "GAN", "n": sets}]}


def test_what_was_not_run_is_counted_by_family_and_listed_apart(study):
    first = study.claims["id"] == study.claims["id"].iloc[0]
    made = content(replace(study, claims=study.claims.assign(verdict=study.claims["verdict"].mask(first, "not run"))))
    assert made["claims_not_run"] == ["KL reaches a higher FID than BCE"]
    assert made["claim_families"][0]["counts"]["not run"] == str(first.sum())
    assert "KL reaches" not in str(made["claims"])


def renamed(study, family: str):
    return replace(study, claims=study.claims.assign(family=family))


def test_what_was_not_run_is_said_without_the_names_of_the_code(study):
    claims = study.claims.assign(reason="not run in this study: bce_10000")
    rows = content(replace(study, claims=claims))["claims"][0]["claims"][0]["rows"]
    assert {row["reason"] for row in rows} == {"not run in this study"}


def test_how_a_verdict_follows_is_told_with_the_numbers_of_the_judge(page):
    assert "undecided where the margin is inside it" in page
    assert "at most 5 %" in page
    assert "a power of 80 %" in page


def test_the_other_sections_have_the_numbers_of_their_tables(page):
    assert "BCE trained on 100 images 188 24.3 BCE trained on all images With so few images" in page
    assert "digits classifier, seed 0 random convolutions, seed 0 0.85 [0.70, 0.95] 5" in page
    assert "In the released arm a table of 1 run a variant orders a pair of variants" in page
    assert "with probability 88 %, names the same best one with 60 %, and has the whole order with 10 %" in page
    assert "released 5 98 % 92 % 82 %" in page
    assert "46 % 36 % to 56 %" in page


def test_the_ablation_says_what_was_picked_by_which_rule(study, page, tmp_path):
    ablation = study.ablation
    assert picked_by_rule(ablation)
    assert "the cell with the fewest failed runs was picked and, of these, the one with the lowest FID:" in page
    picked = ablation[ablation["picked"] & (ablation["objective"] == "kl")].iloc[0]
    assert picked["n_failed"] == 0
    assert f"Kullback-Leibler with {picked['generator_loss']} generator loss and {picked['regulariser']}" in page
    assert "FID on the tuning split" in page
    assert "2/2 failed" in page
    assert "Findings. Picked on the tuning split: BCE with" in page
    assert "Figure 1. FID of each objective under each generator loss" in page  # in place of the ranking by arm
    other = ablation.assign(picked=ablation["picked"].shift(1, fill_value=False))
    assert not picked_by_rule(other)
    fragile = ablation.assign(fid=ablation["fid"].where(ablation["n_failed"] != 1, 0.5))  # lowest, with a failure
    assert picked_by_rule(fragile)
    assert "The picked cells are not in every row" in words(write(tmp_path, replace(study, ablation=other)))


def test_tables_read_back_from_csv_give_the_same_report(study, tmp_path):
    def again(name: str) -> pd.DataFrame:
        getattr(study, name).to_csv(tmp_path / f"{name}.csv", index=False)
        return pd.read_csv(tmp_path / f"{name}.csv")

    read = replace(study, **{name: again(name) for name in EVIDENCE})
    assert content(read) == content(study)
    empty = replace(study, **{name: again(name)[:0] for name in EVIDENCE})
    assert content(empty)["claims"] == []


def test_values_of_the_evidence_are_json_without_nan(study):
    odd = replace(
        study,
        agreement=study.agreement.assign(tau=np.nan, low=np.nan, high=np.nan, seeds=0),
        one_run=study.one_run.assign(pair=np.nan),
        controls=study.controls.assign(value=np.nan),
    )
    made = content(odd)
    json.dumps(made, allow_nan=False)
    assert made["agreement"][0]["mean"] == made["one_run"][0]["pair"] == made["controls"][0]["value"] == "–"


def test_the_split_that_all_are_compared_with_is_named(study, page, tmp_path):
    assert "compared with as many of the evaluation split" in page
    tuned = words(write(tmp_path, study, reference="tuning"))
    assert "compared with as many of the tuning split" in tuned
    assert "and the tuning split, at the same number of images" in tuned


def test_published_numbers_stand_beside_three_arms_a_table(tmp_path):
    arms = [f"arm{i}" for i in range(5)]
    page = words(write(tmp_path, tables(arms=tuple(arms), seeds=1)))
    assert page.count("Published numbers by condition") == 2
    assert "100 images arm0 arm1 arm2 BCE FID" in page
    assert "100 images arm3 arm4 BCE FID" in page


def test_a_claim_table_longer_than_a_page_breaks(study, tmp_path):
    many = pd.concat([study.claims.assign(id=study.claims["id"] + f"-{i}") for i in range(16)], ignore_index=True)
    short = _pages(compile_pdf(write(tmp_path, study)))
    assert _pages(compile_pdf(write(tmp_path, replace(study, claims=many)))) >= short + 3


def _pages(pdf: bytes) -> int:
    return len(re.findall(rb"/Type ?/Page\b", pdf))


@pytest.mark.parametrize(
    ("share", "printed"),
    [(0.0, "0 %"), (0.001, "< 1 %"), (0.456, "46 %"), (0.999, "> 99 %"), (1.0, "100 %"), (np.nan, "–")],
)
def test_shares_round_to_none_or_all_only_where_they_are(share: float, printed: str):
    assert percent(share) == printed


def test_the_arms_are_printed_with_ratio_interval_p_and_pairs(study, page):
    first = study.arm_effects.iloc[0]
    _, _, section = page.partition(SECTIONS["arm_effects"])
    row = section[: section.index(SECTIONS["ablation"])]
    assert str(first["label"]) in row and f"{first['effect']:.2f}" in row and f"{first['high']:.2f}" in row
    failed = study.arm_effects[study.arm_effects["failed"] > 0]
    assert row.count("failed)") == len(failed)
