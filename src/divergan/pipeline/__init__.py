"""The steps of the pipeline, one function a verb: read the inputs' files, call the pure core, write the output's files.

Each returns the facts that its run.json adds. What such a function reaches is its recipe's code fingerprint, so nothing
that cannot change a result belongs here.
"""

from __future__ import annotations

from divergan.pipeline.job import Job
from divergan.pipeline.measures import evaluate
from divergan.pipeline.models import data, features, train
from divergan.pipeline.reweighting import oracle, reweight
from divergan.pipeline.sampling import draw, labels_of, model_of, sample
from divergan.pipeline.showing import figures, report
from divergan.pipeline.tables import compare
from divergan.pipeline.theory import chapter

__all__ = [
    "Job",
    "chapter",
    "compare",
    "data",
    "draw",
    "evaluate",
    "features",
    "figures",
    "labels_of",
    "model_of",
    "oracle",
    "report",
    "reweight",
    "sample",
    "train",
]
