"""A store of small scans whose patients differ in size, place and looks; some have two scans."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from selfscan.scans.contract import PreprocessingContract
from selfscan.scans.index import write_index
from selfscan.scans.inputs.sources import Source
from selfscan.scans.preparation.ingest import store_scan
from selfscan.scans.preparation.notes import Settings
from selfscan.scans.scan import Modality, Scan
from selfscan.scans.store import Store


def example_volume(number: int) -> npt.NDArray[np.int16]:
    """A block of tissue with a bright bar in it, in air; the bar's brightness is the patient's."""
    random = np.random.default_rng(number)
    shape = random.integers((22, 20, 16), (27, 25, 21))
    volume = np.full(shape, -1000.0)
    low = random.integers(1, 4, 3)
    x, y, z = low.tolist()
    right, back, top = (shape - random.integers(1, 4, 3)).tolist()
    volume[x:right, y:back, z:top] = 0
    middle = (y + back) // 2
    volume[x:right, middle - 2 : middle + 2, z:top] = 150 + 60 * (number % 8)
    return (volume + random.normal(0, 20, volume.shape)).astype(np.int16)


def write_store(
    out: Path,
    *,
    scans: int = 14,
    subjects: Sequence[str] = (),
    modality: Modality = "ct",
    spacings: Sequence[tuple[float, float, float]] = (),
) -> Store:
    """Scans `scan-00` on, each of a patient of its own unless `subjects` says otherwise."""
    contract = PreprocessingContract()
    settings = Settings(contract, "nearest", (), None, "salt")
    records = []
    for number in range(scans):
        affine = np.diag((*(spacings[number] if spacings else (1.0, 1.0, 1.0)), 1.0))
        scan = Scan(
            example_volume(number)[None],
            affine,
            modality=(modality,),
            subject=subjects[number] if subjects else None,
        )
        source = Source(f"scan-{number:02}", (Path(f"{number:02}.nii.gz"),))
        prepared = contract.apply(scan)
        records.append(store_scan(source.name, scan, prepared, out, settings, source))
    (out / "contract.json").write_text(json.dumps(contract.to_json()))
    write_index(out, records, [], {})
    return Store(out)
