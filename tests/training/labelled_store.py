"""A small store of two labelled shapes that differ in intensity, written without readers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from selfscan.scans.contract import PreprocessingContract
from selfscan.scans.index import write_index
from selfscan.scans.inputs.sources import Source
from selfscan.scans.preparation.ingest import store_scan
from selfscan.scans.preparation.notes import Settings
from selfscan.scans.scan import Scan
from selfscan.scans.store import Store

SPLITS = ("train", "train", "train", "validation", "test", "test")
SHAPE = (24, 20, 16)


def example_scan(number: int) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """A noisy CT with a bright ball (1) and a brighter bar (2)."""
    random = np.random.default_rng(number)
    place = np.indices(SHAPE) - np.array([8, 10, 8])[:, None, None, None]
    place -= random.integers(-2, 3, (3, 1, 1, 1))
    labels = np.zeros(SHAPE, np.uint8)
    labels[np.linalg.norm(place, axis=0) < 5] = 1
    labels[17 + number % 3 : 20 + number % 3, 4:16, 5:9] = 2
    volume = np.array([-200, 100, 400])[labels] + random.normal(0, 30, SHAPE)
    volume[:, :, 0] = -1000
    labels[:, :, 0] = 0
    return volume.astype(np.int16), labels


def write_store(out: Path, *, labelled: bool = True, channels: int = 1) -> Path:
    """A store of three scans to train on, one to validate and two to test."""
    contract = PreprocessingContract()
    settings = Settings(contract, "nearest", (), None, "salt")
    records = []
    for number, split in enumerate(SPLITS):
        volume, labels = example_scan(number)
        scan = Scan(np.stack([volume] * channels), np.eye(4), modality=("ct",) * channels)
        mask = Scan(labels[None], np.eye(4)) if labelled else None
        source = Source(f"scan-{number}", (Path(f"{number}.nii.gz"),), split=split)
        prepared = contract.apply(scan, mask)
        records.append(store_scan(source.name, scan, prepared, out, settings, source))
    (out / "contract.json").write_text(json.dumps(contract.to_json()))
    names = {0: "background", 1: "ball", 2: "bar"}
    write_index(out, records, [], names if labelled else {})
    return Store(out).path
