"""Datasets: images with their truths, read from the forms in which people keep them."""

from signet.datasets.dataset import Dataset, Entry, Sample
from signet.datasets.from_coco import from_coco
from signet.datasets.from_csv import from_csv
from signet.datasets.from_folder import from_folder
from signet.datasets.from_masks import from_masks
from signet.datasets.from_open_images import from_open_images
from signet.datasets.from_voc import from_voc
from signet.datasets.from_yolo import from_yolo
from signet.datasets.recognise import open_dataset
from signet.datasets.to_coco import to_coco
from signet.datasets.to_masks import to_masks
from signet.datasets.to_voc import to_voc
from signet.datasets.to_yolo import to_yolo
from signet.datasets.writing import Written

__all__ = [
    "Dataset",
    "Entry",
    "Sample",
    "Written",
    "from_coco",
    "from_csv",
    "from_folder",
    "from_masks",
    "from_open_images",
    "from_voc",
    "from_yolo",
    "open_dataset",
    "to_coco",
    "to_masks",
    "to_voc",
    "to_yolo",
]
