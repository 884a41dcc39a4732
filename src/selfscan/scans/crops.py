"""Crops in one import: what an example is, the policies that draw it, the batches it ends in."""

from __future__ import annotations

from selfscan.scans.batch import Batch, Item, collate
from selfscan.scans.examples import Crop, CropPolicy, Example
from selfscan.scans.loading import CropDataset, batches
from selfscan.scans.lung import LungCrops
from selfscan.scans.policies import ForegroundCrops, LabelCrops, UniformCrops

__all__ = [
    "Batch",
    "Crop",
    "CropDataset",
    "CropPolicy",
    "Example",
    "ForegroundCrops",
    "Item",
    "LabelCrops",
    "LungCrops",
    "UniformCrops",
    "batches",
    "collate",
]
