"""Every declaration must keep what it declares."""

import math
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from divergan.errors import DivergaNError
from divergan.features import FEATURE_SETS, FeatureSet
from divergan.metrics import METRICS, Pair, labels, measurable, measure, measure_some

each_metric = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
CLASSES = 4


@pytest.fixture(autouse=True, scope="module")
def _short_training():
    """Of the classifier behind the classification accuracy score."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(labels, "SEEN", 1_500)
        yield


def images_of_classes(count, seed, classes=CLASSES):
    """`count` images, equally many of each class: a cluster of features and a bright quarter a class."""
    owner = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    features = 4 * torch.eye(CLASSES, 12)[labels] + 0.5 * torch.randn(count, 12, generator=owner)
    images = torch.randint(0, 128, (count, 1, 8, 8), generator=owner, dtype=torch.uint8)
    images += 127 * torch.eye(CLASSES, dtype=torch.uint8)[labels].repeat_interleave(16, dim=1).view(-1, 1, 8, 8)
    logits = 6 * torch.eye(CLASSES)[labels] + 0.5 * torch.randn(count, CLASSES, generator=owner)
    return FeatureSet(features=features, probabilities=logits.softmax(dim=1), images=images, labels=labels)


@pytest.fixture(scope="module")
def good():
    """As many generated as reference images is no assumption of any metric: 160 against 200."""
    return Pair(
        generated=images_of_classes(160, 0),
        reference=images_of_classes(200, 1),
        training=images_of_classes(200, 2),
        validation=images_of_classes(100, 3),
    )


@pytest.fixture(scope="module")
def bad(good):
    """Collapsed on one class, whatever was asked for, its features off the data, its probabilities nearly uniform.

    The noise is small on purpose: much noise makes the generated balls wide, and recall then rises.
    """
    collapsed = images_of_classes(200, 3, classes=1)
    noise = 0.5 * torch.randn(200, 12, generator=torch.Generator().manual_seed(4)) + 2
    probabilities = 0.1 * collapsed.class_probabilities + 0.9 / CLASSES
    asked = torch.arange(200) % CLASSES
    generated = replace(collapsed, features=collapsed.features + noise, probabilities=probabilities, labels=asked)
    return Pair(generated=generated, reference=good.reference, training=good.training, validation=good.validation)


@each_metric
def test_worse_images_score_worse(metric, good, bad):
    if metric.better is None:
        pytest.skip("read beside its floor")
    before, after = metric.compute(good), metric.compute(bad)
    assert (after > before) if metric.better == "lower" else (after < before)


@each_metric
def test_value_at_identity(metric, good):
    same = Pair(generated=good.reference, reference=good.reference, training=good.training, validation=good.validation)
    value = metric.compute(same)
    if metric.at_identity is None:
        assert math.isfinite(value)
    else:  # float64 throughout, and distances that tie with themselves
        assert value == pytest.approx(metric.at_identity, abs=1e-9)


@each_metric
def test_needs_what_it_declares(metric, good):
    """Without what it does not need, a metric gives the same; without what it needs, something else or an error."""

    def spoiled(images, part):
        if part in ("probabilities", "classes"):
            return replace(images, probabilities=None)
        if part == "labels":
            return replace(images, labels=None)
        return replace(images, **{part: torch.zeros_like(getattr(images, part))})

    def value(part):
        try:
            return metric.compute(Pair(**{k: spoiled(v, part) for k, v in vars(sides).items()}))
        except DivergaNError:
            return None

    sides = Pair(generated=good.generated, reference=good.reference, training=good.training, validation=good.validation)
    needed = {"probabilities" if "classes" in metric.needs else metric.needs}
    needed |= {"labels"} if metric.of_labels else set()
    parts = {"features", "probabilities", "images", "labels"}
    assert {part for part in parts if value(part) == metric.compute(good)} == parts - needed


@each_metric
def test_order_of_images_does_not_matter(metric, good):
    if metric.name == "inception_score":
        pytest.skip("its splits depend on the order, as published")
    if metric.name == "classification_accuracy_score":
        pytest.skip("its classifier meets the images in their order")
    order = torch.randperm(160, generator=torch.Generator().manual_seed(5))
    turned = FeatureSet(
        features=good.generated.features[order],
        probabilities=good.generated.class_probabilities[order],
        images=good.generated.images[order],
        labels=good.generated.known_labels[order],
    )
    pair = Pair(generated=turned, reference=good.reference, training=good.training, validation=good.validation)
    assert metric.compute(pair) == pytest.approx(metric.compute(good), rel=1e-9, abs=1e-9)  # float64 sums reordered


def test_no_entry_is_unclassified():
    assert all(name == metric.name for name, metric in METRICS.items())
    assert len({metric.label for metric in METRICS.values()}) == len(METRICS)
    assert {metric.better for metric in METRICS.values()} <= {"lower", "higher", None}
    assert all(metric.label and metric.unit and metric.source for metric in METRICS.values())
    reachable = set().union(*(measurable(each.provides, labelled=True) for each in FEATURE_SETS.values()))
    assert reachable == METRICS.keys()
    unlabelled = set().union(*(measurable(each.provides) for each in FEATURE_SETS.values()))
    assert reachable - unlabelled == {"classification_accuracy_score", "label_accuracy"}


def test_every_declaration_is_registered():
    import importlib
    import pkgutil

    import divergan.metrics as package

    modules = [importlib.import_module(f"{package.__name__}.{m.name}") for m in pkgutil.iter_modules(package.__path__)]
    declared = {id(v) for module in modules for v in vars(module).values() if type(v) is type(METRICS["fid"])}
    assert declared == {id(metric) for metric in METRICS.values()}


def test_measure_in_registry_order(good):
    assert list(measure(good)) == list(METRICS)
    assert list(measure_some(good, iter(["kid", "fid"]))) == ["fid", "kid"]
    assert measure_some(good, ["fid"])["fid"] == measure(good)["fid"]


def test_unknown_metric_is_refused(good):
    with pytest.raises(DivergaNError, match="fidd"):
        measure_some(good, ["fidd"])


def test_inception_has_no_modes():
    modes = {"modes_covered", "class_kl", "label_accuracy"}, {"modes_found", "mode_kl"}
    for name, absent in (("inception", modes[0] | modes[1]), ("digits", modes[1]), ("stacked_digits", modes[0])):
        assert set(METRICS) - set(measurable(FEATURE_SETS[name].provides, labelled=True)) == absent


def test_too_few_images_for_neighbours(good):
    few = images_of_classes(5, 0)
    with pytest.raises(DivergaNError, match="5 generated images"):
        measure_some(
            Pair(generated=few, reference=good.reference, training=good.training, validation=good.validation),
            ["recall"],
        )


def test_declarations_load_no_torch():
    code = "import sys, divergan.metrics, divergan.features; sys.exit('torch.nn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
