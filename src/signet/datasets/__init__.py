"""Datasets: images with their truths, read from the forms in which people keep them."""

from signet.datasets.dataset import Dataset, Entry, Sample
from signet.datasets.from_csv import from_csv
from signet.datasets.from_folder import from_folder
from signet.datasets.recognise import open_dataset

__all__ = ["Dataset", "Entry", "Sample", "from_csv", "from_folder", "open_dataset"]
