from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from kill_many import write_scans

from selfscan.errors import SelfscanError
from selfscan.scans.contract import PreprocessingContract
from selfscan.scans.crew import crew
from selfscan.scans.inputs.sources import Source
from selfscan.scans.origins import named
from selfscan.scans.preparation.notes import Settings
from selfscan.scans.prepare import prepare
from selfscan.scans.store import Store

SETTINGS = Settings(PreprocessingContract(), "nearest", (), None, "salt")


def test_a_series_is_named_by_a_salted_digest_and_a_file_only_where_asked() -> None:
    series = Source("dicom-0123456789", (Path("/in/DOE^JANE"),), kind="dicom")
    digest = hashlib.sha256(b"salt\ndicom-0123456789").hexdigest()
    assert named(series, SETTINGS, pseudonyms=False).name == f"dicom-{digest[:12]}"
    assert named(series, replace(SETTINGS, salt="other"), pseudonyms=False).name != series.name
    file = Source("sub-07__anat__sub-07_T1w", (Path("/in/sub-07_T1w.nii"),))
    assert named(file, SETTINGS, pseudonyms=False) == file
    digest = hashlib.sha256(b"salt\nsub-07__anat__sub-07_T1w").hexdigest()
    hidden = named(file, SETTINGS, pseudonyms=True)
    assert (hidden.name, hidden.images) == (f"scan-{digest[:12]}", file.images)
    assert hidden.patient == file.patient == "sub-07"


@pytest.mark.slow
def test_ids_keep_to_the_salt_of_the_store_and_splits_know_both_names(tmp_path: Path) -> None:
    scans, out, table = write_scans(tmp_path / "scans", 3), tmp_path / "out", tmp_path / "table.csv"
    out.mkdir()
    (out / "salt.txt").write_text("a salt of my own")
    splits = tmp_path / "splits.json"
    with crew(1) as client:
        at = {"scheduler": client.scheduler_info()["address"], "pseudonyms": True}
        with pytest.raises(SelfscanError, match=r"inside of the output .*; keep them apart"):
            prepare(scans, out, resume=True, sources_table=out / "table.csv", **at)
        prepare(scans, out, resume=True, dry_run_table=tmp_path / "list.csv", **at)
        prepare(scans, out, resume=True, sources_table=table, **at)
        ids = {Path(row.path).name: row.id for row in pd.read_csv(table).itertuples()}
        own = hashlib.sha256(b"a salt of my own\nscan1").hexdigest()
        assert ids["scan1.nii.gz"] == f"scan-{own[:12]}"
        listed = pd.read_csv(tmp_path / "list.csv")
        assert set(listed.loc[listed["kept"], "name"]) == set(ids.values())
        lists = {"train": [ids["scan0.nii.gz"]], "test": ["scan2"]}
        splits.write_text(json.dumps(lists))
        prepare(scans, out, resume=True, splits=splits, **at)
    store = Store(out)
    assert set(store.ids) == set(ids.values())
    assert {record.id: record.split for record in store} == {
        ids["scan0.nii.gz"]: "train",
        ids["scan1.nii.gz"]: None,
        ids["scan2.nii.gz"]: "test",
    }
