from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq
import pytest

from selfscan.errors import ContractError, SelfscanError
from selfscan.scans.crew import crew
from selfscan.scans.prepare import SomeRejectedError
from selfscan.scans.prepare import prepare as prepare_verb
from selfscan.scans.store import Store

SHAPE = (24, 20, 16)


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """Two workers for all tests of this file."""
    with crew(2) as client:
        yield client.scheduler_info()["address"]


def prepare(*arguments: Any, **options: Any) -> Store:
    """The store of a run that is no dry one."""
    store = prepare_verb(*arguments, **options)
    assert store is not None
    return store


def ct(seed: int, shape: tuple[int, ...] = SHAPE) -> npt.NDArray[np.int16]:
    """A box of half the length of air, at another place a seed."""
    voxels = np.random.default_rng(seed).integers(-1000, -900, shape).astype(np.int16)
    starts = np.random.default_rng(seed + 2).integers(0, np.array(shape[:3]) // 2)
    inner = tuple(slice(a, a + n // 2) for a, n in zip(starts, shape[:3], strict=True))
    voxels[inner] = np.random.default_rng(seed + 1).integers(-100, 400, voxels[inner].shape)
    return voxels


def save(path: Path, voxels: npt.NDArray, affine: npt.NDArray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, np.eye(4) if affine is None else affine), path)
    return path


def good_scans(folder: Path, count: int) -> Path:
    for number in range(count):
        save(folder / f"good{number}.nii.gz", ct(number))
    return folder


def files_of(store: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file()
    }


def reasons(store: Path) -> dict[str, str]:
    rows = pq.read_table(store / "rejected.parquet").to_pylist()
    return {Path(row["path"]).name: row["reason"] for row in rows}


def test_a_folder_becomes_a_store(tmp_path: Path, scheduler: str) -> None:
    source = good_scans(tmp_path / "in", 3)
    store = prepare(source, tmp_path / "out", scheduler=scheduler)
    assert store.ids == ("good0", "good1", "good2")
    np.testing.assert_array_equal(store.read(1)[0], ct(1))
    record = store[0]
    assert record.modality == ("ct",)
    assert record.warnings == ("modality guessed: ct",)
    assert record.shape == SHAPE
    assert 0.05 < record.foreground_fraction < 0.5
    assert reasons(store.path) == {}
    assert str(tmp_path) not in str(files_of(store.path))


def test_bad_inputs_are_named_and_the_run_goes_on(tmp_path: Path, scheduler: str) -> None:
    folder = good_scans(tmp_path / "in", 2)
    whole = (folder / "good0.nii.gz").read_bytes()
    (folder / "truncated.nii.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.nii.gz").write_bytes(b"")
    (folder / "unreadable.nii.gz").write_bytes(b"no scan at all" * 100)
    save(folder / "flat.nii.gz", ct(0)[:, :, :1])
    save(folder / "movie.nii.gz", np.stack([ct(1), ct(2)], axis=-1))
    colors = np.zeros(SHAPE, dtype=[(c, "u1") for c in "RGB"])
    save(folder / "colors.nii.gz", colors)
    save(folder / "constant.nii.gz", np.full(SHAPE, 7, dtype=np.int16))
    save(folder / "nothing.nii.gz", np.full(SHAPE, np.nan, dtype=np.float32))
    image = nib.Nifti1Image(ct(3), None)
    image.header["pixdim"][1:4] = (1, 0, 1)
    image.header.set_sform(np.diag([1.0, 0, 1, 1]), code=1)
    nib.save(image, folder / "thin.nii.gz")
    save(folder / "again.nii.gz", ct(1))
    cases = [{"image": path.name} for path in sorted(folder.glob("*.nii.gz"))]
    cases += [{"image": "good0.nii.gz"}, {"image": "lost.nii.gz"}]
    save(folder / "labels" / "mismatch.nii.gz", np.ones((24, 20, 15), dtype=np.uint8))
    save(folder / "mismatch.nii.gz", ct(8))
    cases.append({"image": "mismatch.nii.gz", "label": "labels/mismatch.nii.gz"})
    (folder / "list.json").write_text(json.dumps({"training": cases}))

    out = tmp_path / "out"
    with pytest.raises(SomeRejectedError, match="13 inputs that cannot be used") as raised:
        prepare(folder / "list.json", out, scheduler=scheduler, strict=True)
    assert raised.value.exit_code == 3
    assert Store(out).ids == ("again", "good0")
    found = reasons(out)
    expected = {
        "truncated.nii.gz": "cannot be read to its end",
        "empty.nii.gz": "0 bytes",
        "unreadable.nii.gz": "without the NIfTI mark",
        "flat.nii.gz": "one slice",
        "movie.nii.gz": "2 volumes",
        "colors.nii.gz": "RGB",
        "constant.nii.gz": "7 in every voxel",
        "nothing.nii.gz": "NaN",
        "thin.nii.gz": "spacing",
        "mismatch.nii.gz": "shape 24 x 20 x 15",
        "good0.nii.gz": "listed twice",
        "good1.nii.gz": "same content as again",
        "lost.nii.gz": "no such file",
    }
    assert found.keys() == expected.keys()
    for name, word in expected.items():
        assert word in found[name], (name, found[name])


def test_nothing_usable_is_an_error_and_no_store(tmp_path: Path, scheduler: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.nii.gz").write_bytes(b"")
    with pytest.raises(SelfscanError, match=r"no usable scan among 1 inputs.*a\.nii\.gz"):
        prepare(tmp_path / "in", tmp_path / "out", scheduler=scheduler)
    assert reasons(tmp_path / "out").keys() == {"a.nii.gz"}
    with pytest.raises(SelfscanError, match=r"no scans\.parquet"):
        Store(tmp_path / "out")
    (tmp_path / "none").mkdir()
    with pytest.raises(SelfscanError, match="no usable scan among 0 inputs"):
        prepare(tmp_path / "none", tmp_path / "other")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spacing": (1.0, 0.0, 1.0)}, "spacing must be three lengths above 0 mm"),
        ({"spacing": (1.0, 1.0)}, "spacing must be three lengths above 0 mm"),
        ({"modality": "xray"}, "modality must be one of auto, ct, mr, pt, other, got 'xray'"),
        ({"label_resampling": "cubic"}, "label_resampling must be one of nearest"),
        ({"near_duplicates": "no"}, "near_duplicates must be one of keep, drop, got 'no'"),
        ({"workers": 0}, "workers must be at least 1, got 0"),
    ],
)
def test_arguments_out_of_range_fail_before_work(tmp_path: Path, arguments, message) -> None:
    source = good_scans(tmp_path / "in", 1)
    with pytest.raises(ValueError, match=message):
        prepare(source, tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_output_folders_are_respected(tmp_path: Path, scheduler: str) -> None:
    source = good_scans(tmp_path / "in", 1)
    with pytest.raises(SelfscanError, match="inside of the output"):
        prepare(source, tmp_path, scheduler=scheduler, overwrite=True)
    assert (source / "good0.nii.gz").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()
    with pytest.raises(SelfscanError, match="not empty"):
        prepare(source, tmp_path / "out", scheduler=scheduler)
    with pytest.raises(SelfscanError, match="no store"):
        prepare(source, tmp_path / "out", scheduler=scheduler, resume=True)
    prepare(source, tmp_path / "out", scheduler=scheduler, overwrite=True)
    assert not (tmp_path / "out" / "thesis.tex").exists()
    with pytest.raises(ContractError, match=r"spacing \(2.0, 2.0, 2.0\) where None"):
        prepare(source, tmp_path / "out", scheduler=scheduler, resume=True, spacing=(2.0, 2.0, 2.0))


def test_a_second_run_does_only_what_is_missing(tmp_path: Path, scheduler: str) -> None:
    source = good_scans(tmp_path / "in", 2)
    (source / "bad.nii.gz").write_bytes(b"")
    out = tmp_path / "out"
    prepare(source, out, scheduler=scheduler)
    before = {path.name: path.stat().st_mtime_ns for path in (out / "volumes").iterdir()}
    save(source / "bad.nii.gz", ct(7))
    save(source / "good1.nii.gz", ct(9))
    (out / "volumes" / ".123.half.b2nd").write_bytes(b"left by a killed process")
    store = prepare(source, out, scheduler=scheduler, resume=True)
    after = {path.name: path.stat().st_mtime_ns for path in (out / "volumes").iterdir()}
    assert store.ids == ("bad", "good0", "good1")
    assert after.keys() == {"bad.b2nd", "good0.b2nd", "good1.b2nd"}
    assert after["good0.b2nd"] == before["good0.b2nd"]
    np.testing.assert_array_equal(store.read(2)[0], ct(9))
    assert reasons(out) == {}
    more = good_scans(tmp_path / "more", 1)
    save(more / "extra.nii.gz", ct(20))
    both = prepare(more, out, scheduler=scheduler, resume=True)
    assert both.ids == ("bad", "extra", "good0", "good1")


def test_labels_splits_and_names_reach_the_store(tmp_path: Path, scheduler: str) -> None:
    source, rng = tmp_path / "in", np.random.default_rng(0)
    turned = np.diag([-2.0, 1, 1, 1])
    masks = [rng.integers(0, 3, SHAPE).astype(np.uint8) for _ in range(3)]
    for number, mask in enumerate(masks):
        save(source / "imagesTr" / f"sub-{number}_0000.nii.gz", ct(number), turned)
        save(source / "labelsTr" / f"sub-{number}.nii.gz", mask, turned)
    content = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "liver": 1, "spleen": 2},
        "file_ending": ".nii.gz",
        "numTraining": 3,
    }
    (source / "dataset.json").write_text(json.dumps(content))
    (tmp_path / "splits.json").write_text(json.dumps({"train": ["sub-0"], "test": ["sub-2"]}))
    store = prepare(source, tmp_path / "out", splits=tmp_path / "splits.json", scheduler=scheduler)
    assert store.label_names == {0: "background", 1: "liver", 2: "spleen"}
    assert [record.split for record in store] == ["train", None, "test"]
    assert store[0].warnings == ()
    assert store[0].affine[0] == (2.0, 0.0, 0.0, -2.0 * 23)
    np.testing.assert_array_equal(store.read_labels(1), masks[1][::-1])
    np.testing.assert_array_equal(store.read(1)[0], ct(1)[::-1])
    (tmp_path / "splits.json").write_text(json.dumps({"train": ["somebody"]}))
    with pytest.raises(SelfscanError, match="none of the cases in its lists"):
        prepare(source, tmp_path / "new", splits=tmp_path / "splits.json", scheduler=scheduler)


def test_label_values_without_a_name(tmp_path: Path, scheduler: str) -> None:
    images, labels = tmp_path / "images", tmp_path / "masks"
    for number in range(2):
        save(images / f"{number}.nii.gz", ct(number))
        save(labels / f"{number}.nii.gz", np.full(SHAPE, number + 3, dtype=np.uint8))
    store = prepare(images, tmp_path / "out", labels=labels, scheduler=scheduler)
    assert store.label_names == {0: "background", 3: "label 3", 4: "label 4"}
    cases = [{"image": f"images/{n}.nii.gz", "label": f"masks/{n}.nii.gz"} for n in range(2)]
    listed = {"labels": {"0": "background", "3": "heart"}, "training": cases}
    (tmp_path / "list.json").write_text(json.dumps(listed))
    store = prepare(tmp_path / "list.json", tmp_path / "named", scheduler=scheduler)
    assert len(store) == 1
    assert "label values without a name: 4" in reasons(store.path)["1.nii.gz"]


def test_scans_with_other_channels_are_left_out(tmp_path: Path, scheduler: str) -> None:
    cases = [{"image": str(save(tmp_path / f"{n}.nii.gz", ct(n)))} for n in range(2)]
    pair = [str(save(tmp_path / f"pair{n}.nii.gz", ct(n + 5))) for n in range(2)]
    (tmp_path / "list.json").write_text(json.dumps({"training": [*cases, {"image": pair}]}))
    store = prepare(tmp_path / "list.json", tmp_path / "out", scheduler=scheduler)
    assert len(store) == 2
    assert "found 2 channels; expected 1" in reasons(store.path)["pair0.nii.gz"]
    assert len(list((store.path / "volumes").iterdir())) == 2


def test_an_argument_wins_over_a_guess(tmp_path: Path, scheduler: str) -> None:
    source = good_scans(tmp_path / "in", 1)
    store = prepare(source, tmp_path / "out", modality="mr", scheduler=scheduler)
    assert store[0].modality == ("mr",)
    assert store[0].warnings == ()
    assert store.read(0).max() > 5_000


def test_patients_are_digests_that_outlast_a_resume(tmp_path: Path, scheduler: str) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    for number in range(2):
        save(source / "sub-MUELLER" / f"ses-{number}.nii.gz", ct(number))
    first = prepare(source, out, scheduler=scheduler)
    assert len(set(first.subjects)) == 1
    assert "MUELLER" not in first.subjects[0]
    save(source / "sub-MUELLER" / "ses-9.nii.gz", ct(9))
    later = prepare(source, out, scheduler=scheduler, resume=True)
    assert set(later.subjects) == set(first.subjects)


def test_near_duplicates_are_kept_and_named_or_dropped(tmp_path: Path, scheduler: str) -> None:
    source = good_scans(tmp_path / "in", 3)
    noise = np.random.default_rng(5).integers(-3, 4, SHAPE).astype(np.int16)
    save(source / "copy.nii.gz", ct(1) + noise)
    splits = tmp_path / "splits.json"
    splits.write_text(json.dumps({"pretrain": ["copy", "good0", "good2"], "test": ["good1"]}))
    given = {"splits": splits, "scheduler": scheduler}
    kept = prepare(source, tmp_path / "out", **given)
    assert kept.ids == ("copy", "good0", "good1", "good2")
    assert [scan.near_duplicate_of for scan in kept] == ["good1", None, None, None]
    assert kept[0].warnings[-1] == "near-duplicate of a scan of the split test"
    files = files_of(tmp_path / "out")
    dropped = prepare(source, tmp_path / "out", near_duplicates="drop", resume=True, **given)
    assert dropped.ids == ("good0", "good1", "good2")
    assert reasons(dropped.path).keys() == {"copy.nii.gz"}
    assert reasons(dropped.path)["copy.nii.gz"].startswith("near-duplicate of good1;")
    after = files_of(tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    prepare(source, tmp_path / "out", near_duplicates="drop", **given)
    assert files_of(tmp_path / "out") == after
    prepare(source, tmp_path / "out", resume=True, **given)
    assert files_of(tmp_path / "out") == files


SCRIPT = """
import sys
from pathlib import Path
from selfscan.scans.prepare import prepare
prepare(Path(sys.argv[1]), Path(sys.argv[2]), workers=2, resume=True)
"""


def start_script(folder: Path, source: Path, out: Path) -> subprocess.Popen[bytes]:
    # A script as people write them: without a guard around its main part.
    script = folder / "script.py"
    script.write_text(SCRIPT)
    return subprocess.Popen([sys.executable, script, source, out], stderr=subprocess.PIPE)


def wait_for_notes(out: Path, count: int) -> None:
    end = time.monotonic() + 120
    while len(list(out.glob("records/[!.]*.json"))) < count:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.slow
def test_a_killed_run_resumed_equals_an_unbroken_one(tmp_path: Path, scheduler: str) -> None:
    source, out = good_scans(tmp_path / "in", 30), tmp_path / "out"
    (source / "bad.nii.gz").write_bytes(b"")
    process = start_script(tmp_path, source, out)
    wait_for_notes(out, 4)
    process.kill()
    process.wait()
    time.sleep(2)  # orphaned workers, if there were any, would write on
    notes = [path for path in (out / "records").glob("*.json") if not path.name.startswith(".")]
    done = {path: path.stat().st_mtime_ns for path in notes}
    assert 4 <= len(done) < 30
    assert not (out / "scans.parquet").exists()
    prepare(source, out, scheduler=scheduler, resume=True)
    assert all(path.stat().st_mtime_ns == then for path, then in done.items())
    shutil.move(out, tmp_path / "resumed")
    prepare(source, out, scheduler=scheduler)
    assert files_of(tmp_path / "resumed") == files_of(out)


def test_a_note_cut_off_by_a_kill_is_no_note(tmp_path: Path) -> None:
    source, out = good_scans(tmp_path / "in", 2), tmp_path / "out"
    prepare(source, out, workers=1)
    half = out / "records" / ".partial.0123.json"
    half.write_text('{"kept": [')
    assert len(prepare(source, out, workers=1, resume=True)) == 2
    assert not half.exists()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_stop_cleanly(tmp_path: Path, number: signal.Signals, code: int) -> None:
    source, out = good_scans(tmp_path / "in", 30), tmp_path / "out"
    arguments = [sys.executable, "-m", "selfscan", "prepare", source, out, "--workers", "2"]
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, env=os.environ)
    wait_for_notes(out, 2)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors.decode()
    assert f"stopped by {number.name}" in errors.decode()
    assert "Traceback" not in errors.decode()


def test_a_dry_run_says_what_a_run_does_and_writes_nothing(tmp_path: Path, scheduler: str) -> None:
    source = good_scans(tmp_path / "scans", 2)
    shutil.copy(source / "good0.nii.gz", source / "twin.nii.gz")
    (source / "cut.nii.gz").write_bytes((source / "good1.nii.gz").read_bytes()[:500])
    out, table = tmp_path / "out", tmp_path / "list.csv"
    options = {"scheduler": scheduler, "spacing": (2.0, 2.0, 2.0)}
    assert prepare_verb(source, out, dry_run=True, dry_run_table=table, **options) is None
    assert not out.exists()
    listed = pd.read_csv(table, keep_default_na=False)
    store = prepare(source, out, **options)
    assert listed.loc[listed["kept"], "name"].tolist() == list(store.ids)
    dropped = listed[~listed["kept"]]
    names = [Path(name).name for name in dropped["name"]]
    assert dict(zip(names, dropped["reason"], strict=True)) == reasons(out)
    assert sorted(names) == ["cut.nii.gz", "twin.nii.gz"]
    with pytest.raises(SomeRejectedError, match="found 2 inputs"):
        prepare_verb(source, out, dry_run=True, strict=True, **options)
    with pytest.raises(SelfscanError, match="found no folder"):
        prepare_verb(source, out, dry_run_table=tmp_path / "no" / "list.csv", **options)
