"""Data sets by name: fetched, verified by checksum, cut into disjoint stratified splits, turned into tensors."""

from divergan.data.fetching import fetch
from divergan.data.reading import RawData, raw_images
from divergan.data.sets import DATASETS, DataError, DataSet, IdxFile, data_set
from divergan.data.splits import (
    SPLITS,
    TRAINING_ARMS,
    load_splits,
    save_splits,
    split,
    tensors,
    to_network,
    to_uint8,
    training_images,
    training_labels,
)
from divergan.data.stacking import stacked, unstacked

__all__ = [
    "DATASETS",
    "SPLITS",
    "TRAINING_ARMS",
    "DataError",
    "DataSet",
    "IdxFile",
    "RawData",
    "data_set",
    "fetch",
    "load_splits",
    "raw_images",
    "save_splits",
    "split",
    "stacked",
    "tensors",
    "to_network",
    "to_uint8",
    "training_images",
    "training_labels",
    "unstacked",
]
