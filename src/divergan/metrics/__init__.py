"""The metrics by name: each is one declaration in the file of its family.

To add one, write a declaration and put its name in METRICS; nothing else changes.
"""

from __future__ import annotations

from collections.abc import Iterable

from divergan.errors import DivergaNError
from divergan.metrics.frechet import FID
from divergan.metrics.inception_score import INCEPTION_SCORE
from divergan.metrics.kernel_distance import KID
from divergan.metrics.labels import CLASSIFICATION_ACCURACY_SCORE, LABEL_ACCURACY
from divergan.metrics.memorisation import NEAREST_TRAINING_DISTANCE, copied_share, nearest_training_distances
from divergan.metrics.modes import CLASS_KL, MODE_KL, MODES_COVERED, MODES_FOUND
from divergan.metrics.neighbours import COVERAGE, DENSITY, PRECISION, RECALL
from divergan.metrics.pair import Metric, Pair
from divergan.metrics.parzen import PARZEN

METRICS: dict[str, Metric] = {
    "fid": FID,
    "kid": KID,
    "inception_score": INCEPTION_SCORE,
    "precision": PRECISION,
    "recall": RECALL,
    "density": DENSITY,
    "coverage": COVERAGE,
    "modes_covered": MODES_COVERED,
    "class_kl": CLASS_KL,
    "modes_found": MODES_FOUND,
    "mode_kl": MODE_KL,
    "nearest_training_distance": NEAREST_TRAINING_DISTANCE,
    "parzen": PARZEN,
    "classification_accuracy_score": CLASSIFICATION_ACCURACY_SCORE,
    "label_accuracy": LABEL_ACCURACY,
}


def measurable(provides: Iterable[str], labelled: bool = False) -> list[str]:
    """The metrics that a feature set with `provides` (features.FeatureExtractor) can be measured by, in order.

    Those of labels are among them where the images are `labelled`.
    """
    provided = set(provides)
    return [name for name, m in METRICS.items() if m.needs in provided and (labelled or not m.of_labels)]


def measure(pair: Pair) -> dict[str, float]:
    """Every metric of `pair`, in the order of METRICS."""
    return measure_some(pair, METRICS)


def measure_some(pair: Pair, names: Iterable[str]) -> dict[str, float]:
    """The named metrics of `pair`, in the order of METRICS; an unknown name raises DivergaNError."""
    wanted = set(names)
    unknown = sorted(wanted - METRICS.keys())
    if unknown:
        raise DivergaNError(f"no metric is called {', '.join(unknown)}: choose among {', '.join(METRICS)}")
    return {name: metric.compute(pair) for name, metric in METRICS.items() if name in wanted}


__all__ = [
    "METRICS",
    "Metric",
    "Pair",
    "copied_share",
    "measurable",
    "measure",
    "measure_some",
    "nearest_training_distances",
]
