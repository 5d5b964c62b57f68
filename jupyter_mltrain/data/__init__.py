"""Dataset → folder: fetched once, checked by content, cached for all workspaces of a user."""

from jupyter_mltrain.core.dataset import DatasetDefinition, DatasetFile, FileDatasetDefinition
from jupyter_mltrain.data.catalog import Catalog
from jupyter_mltrain.data.datasets import Datasets, FetchedDataset
from jupyter_mltrain.data.sources import FetchProgress

__all__ = [
    "Catalog",
    "DatasetDefinition",
    "DatasetFile",
    "Datasets",
    "FetchProgress",
    "FetchedDataset",
    "FileDatasetDefinition",
]
