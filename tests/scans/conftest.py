"""Small stores, written without the search and the readers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from selfscan.scans.contract import PreprocessingContract
from selfscan.scans.index import write_index
from selfscan.scans.inputs.sources import Source
from selfscan.scans.preparation.ingest import store_scan
from selfscan.scans.preparation.notes import Settings
from selfscan.scans.scan import Modality, Scan
from selfscan.scans.store import Store

MakeStore = Callable[..., Store]


@pytest.fixture
def make_store(tmp_path: Path) -> MakeStore:
    """A function from volumes (X, Y, Z) or (C, X, Y, Z), and label maps, to a store."""

    def make(
        volumes: Sequence[npt.NDArray[Any]],
        *,
        labels: Sequence[npt.NDArray[Any]] | None = None,
        modality: Modality = "ct",
        splits: Sequence[str] = (),
        subjects: Sequence[str] = (),
        name: str = "store",
    ) -> Store:
        out = tmp_path / name
        contract = PreprocessingContract()
        settings = Settings(contract, "nearest", (), None, "salt")
        records = []
        for number, volume in enumerate(volumes):
            voxels = volume if volume.ndim == 4 else volume[None]
            subject = subjects[number] if subjects else None
            scan = Scan(voxels, np.eye(4), modality=(modality,) * len(voxels), subject=subject)
            mask = None if labels is None else Scan(labels[number][None], np.eye(4))
            split = splits[number] if splits else None
            source = Source(f"scan-{number}", (Path(f"{number}.nii.gz"),), split=split)
            prepared = contract.apply(scan, mask)
            records.append(store_scan(source.name, scan, prepared, out, settings, source))
        (out / "contract.json").write_text(json.dumps(contract.to_json()))
        write_index(out, records, [], {0: "background", 1: "organ"} if labels else {})
        return Store(out)

    return make


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(7)
