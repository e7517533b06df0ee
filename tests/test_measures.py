"""The verb evaluate on a trained toy: what it may look at, and what its controls do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from divergan import jobs, pipeline, tracking
from divergan.pipeline.measures import unrescaled
from divergan.plan import REAL, Plan, Step
from divergan.store import place
from tiny_study import SMALL, project

pytestmark = pytest.mark.xdist_group("measures")  # one worker, for what the module makes once

TUNING = ("\nevaluation:\n", "\nevaluation:\n  reference: tuning\n")
FEW = ("samples: 200 ", "samples: 100 ")  # as many as the tuning split has


def evaluated(step: Step, out: Path) -> dict[str, dict]:
    """What the verb evaluate writes for `step`, from the results that lie in the present folder."""
    out.mkdir()
    pipeline.evaluate(pipeline.Job(step=step, root=Path(), out=out, device="cpu", live=tracking.Live()))
    return {path.name: json.loads(path.read_text()) for path in sorted(out.glob("*.json"))}


@pytest.fixture(scope="module", params=["tuning", "evaluation"])
def trained(request, tmp_path_factory) -> tuple[str, Path]:
    folder = project(
        tmp_path_factory.mktemp(request.param) / "project", *SMALL, FEW,
        *([TUNING] if request.param == "tuning" else []),
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        plan = Plan(Path("params.yaml"))
        for verb in ("data", "features", "train", "sample"):
            jobs.make(Path(), plan.of(verb)[0], "cpu", 1)
    return request.param, folder


def test_a_study_on_the_tuning_split_never_sees_the_evaluation_split(trained, tmp_path, monkeypatch):
    reference, folder = trained
    monkeypatch.chdir(folder)
    plan = Plan(Path("params.yaml"))
    files = [
        place(Path(), plan.of(verb)[0]) / name
        for verb, name in (("data", "splits.safetensors"), ("features", "real.safetensors"))
    ]
    steps = [plan.of("evaluate")[0], plan.step("evaluate", REAL)]
    before = [evaluated(step, tmp_path / f"{step.key}-before") for step in steps]
    whole = {path: load_file(path) for path in files}
    for path, tensors in whole.items():
        kept = {name: values for name, values in tensors.items() if not name.startswith("evaluation")}
        if reference == "evaluation":
            kept |= {name: torch.ones_like(values) for name, values in tensors.items() if name not in kept}
        path.unlink()  # a hard link of the store's
        save_file(kept, path)
    try:
        after = [evaluated(step, tmp_path / f"{step.key}-after") for step in steps]
        if reference == "tuning":  # runs to the same numbers where there is no evaluation split at all
            assert after == before
        else:  # and this is what looking at it would have shown
            assert all(a["metrics.json"]["fid"] != b["metrics.json"]["fid"] for a, b in zip(after, before, strict=True))
    finally:
        for path, tensors in whole.items():
            path.unlink()
            save_file(tensors, path)


def test_real_images_are_their_own_copies_and_suffer_from_the_missing_rescaling(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(trained[1])
    found = evaluated(Plan(Path("params.yaml")).step("evaluate", REAL), tmp_path / "real")
    assert found["controls.json"]["copied_share"] == 1
    assert not {"classification_accuracy_score", "label_accuracy"} & found["metrics.json"].keys(), "no run has labels"
    assert found["controls.json"]["fid_training_reference"] == pytest.approx(0, abs=1e-6)  # the same images twice
    assert found["controls.json"]["fid_unrescaled"] > found["metrics.json"]["fid"]
    assert found["fid_by_features.json"]["digits"] == found["metrics.json"]["fid"]
    assert found["metrics.json"]["nearest_training_distance"] == found["controls.json"]["held_out_distance"]


def test_unrescaled_is_the_clipping_of_the_released_code():
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    expected = (2 * (levels.double() / 255) - 1).clamp(0, 1) * 255  # saved in [-1, 1], clipped to [0, 1]
    assert torch.equal(unrescaled(levels).double(), expected.round())
