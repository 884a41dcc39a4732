"""Crops in one import: what an example is, the policies that draw it, the batches it ends in."""

from __future__ import annotations

from selfscan.scans.crops.across import MatchedCrops
from selfscan.scans.crops.batch import Batch, Item, collate
from selfscan.scans.crops.examples import AnchoredPolicy, Crop, CropPolicy, Example
from selfscan.scans.crops.loading import CropDataset, batches
from selfscan.scans.crops.lung import LungCrops
from selfscan.scans.crops.pairs import OverlappingCrops
from selfscan.scans.crops.policies import ForegroundCrops, LabelCrops, UniformCrops
from selfscan.scans.crops.whole import WholeScans
from selfscan.scans.crops.words import VisualWordCrops

__all__ = [
    "AnchoredPolicy",
    "Batch",
    "Crop",
    "CropDataset",
    "CropPolicy",
    "Example",
    "ForegroundCrops",
    "Item",
    "LabelCrops",
    "LungCrops",
    "MatchedCrops",
    "OverlappingCrops",
    "UniformCrops",
    "VisualWordCrops",
    "WholeScans",
    "batches",
    "collate",
]
