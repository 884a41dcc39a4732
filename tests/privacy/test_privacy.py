"""No patient's name, date or identifier leaves the files it stands in: planted, and looked for.

The promise is that of `docs/privacy.md`. What headers hold goes nowhere. Names of files and folders
stand on the terminal, in `rejected.parquet`, in tables that were asked for and beside predictions;
with `--pseudonyms` nowhere else.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

pytest.importorskip("pydicom", reason="writes the DICOM files that secrets are planted in")

from disclosure import HEADERS, NAMES, found
from page_parser import Page
from secrets_planted import PATIENT_ID, ROOT, SHAPE, data_set, secret, write_inputs

pytestmark = pytest.mark.slow

# All verbs in one process, as a user gives them; imports take longer than they do.
RUN = """
import json, sys
from selfscan.cli import main
for command in json.loads(sys.argv[1]):
    sys.argv = ["selfscan", *command]
    print(command[0], "ended with", main(command), flush=True)
"""
SMALL = [
    *("--recipe.steps", "2", "--recipe.crop_size", "[16,16,16]", "--recipe.batch_size", "1"),
    *("--recipe.validate_every", "1", "--recipe.overlap", "0", "--engine.accelerator", "cpu"),
]


@dataclass(frozen=True)
class Run:
    """What the verbs were given and made.

    Attributes:
        scans: The folder of planted scans.
        out: All that was written.
        said: Standard output and error of all verbs.
    """

    scans: Path
    out: Path
    said: str


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """All main verbs over scans full of secrets."""
    root = Path(tmp_path_factory.mktemp("privacy"))
    scans, out = write_inputs(root / "in"), root / "out"
    out.mkdir()
    given = [
        *(str(scans), str(out / "store"), "--pseudonyms", "true", "--workers", "1"),
        *("--labels", str(scans.parent / "labels")),
        *("--splits", str(scans.parent / "splits.json")),
    ]
    store, learned, tuned = (str(out / name) for name in ("store", "run", "tuned"))
    dicom = scans / "ZQPERSON00XV^John" / "ZQSERIES00XV good"
    nifti = sorted((scans / "ZQFOLDERNIXV").iterdir())[0]
    compared = {"steps": 2, "crop_size": [16, 16, 16], "batch_size": 1, "overlap": 0.0}
    commands = [
        ["prepare", *given, "--dry_run_table", str(out / "list.csv")],
        ["prepare", *given, "--sources_table", str(out / "sources.csv")],
        ["prepare", *given, "--strict", "true", "--resume", "true"],
        ["inspect", store, "--workers", "1"],
        [
            *("pretrain", store, learned, "--method", "models-genesis"),
            *("--method.crop_size", "[16,16,16]", "--method.batch_size", "1"),
            *("--method.shuffle_windows", "20", "--backbone", "unet3d", "--backbone.width", "1"),
            *("--recipe.steps", "2", "--recipe.validation_examples", "2"),
            *("--engine.accelerator", "cpu"),
        ],
        ["finetune", store, tuned, "--checkpoint", learned, *SMALL],
        [
            *("compare", store, str(out / "comparison"), "--checkpoints", json.dumps([learned])),
            *("--labels", "[2]", "--seeds", "[0]", "--recipe", json.dumps(compared)),
            *("--engine", json.dumps({"accelerator": "cpu"}), "--workers", "1"),
        ],
        [
            *("predict", json.dumps([str(dicom), str(nifti)]), str(out / "predicted")),
            *("--checkpoint", tuned, "--engine.accelerator", "cpu"),
        ],
        *(
            ["export", tuned, str(out / "left" / form), "--to", form]
            for form in ("safetensors", "onnx", "monai")
        ),
    ]
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(commands)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env=os.environ | {"COLUMNS": "2000", "OMP_NUM_THREADS": "1"},
        timeout=900,
        check=False,
    )
    (root / "said.txt").write_text(done.stdout, encoding="utf-8")
    ended = re.findall(r"^(\w+) ended with (\d+)$", done.stdout, re.MULTILINE)
    codes = [(command[0], "3" if "--strict" in command else "0") for command in commands]
    assert ended == codes, done.stdout
    return Run(scans, out, done.stdout)


def test_secrets_are_planted_and_would_be_found(run: Run) -> None:
    assert len(data_set()) > 3000
    slices = sorted(run.scans.rglob("*.dcm"))
    (first,) = {line.split(": ")[-1] for line in found(HEADERS, slices[0])} & {PATIENT_ID}
    assert first == secret(0x00100020)
    assert len(found(HEADERS, slices[0])) > 2000
    for suffix in ("nii.gz", "nrrd", "mha"):
        files = [file for file in run.scans.rglob(f"*.{suffix}") if "CUT" not in file.name]
        assert all(len(found(HEADERS, file)) >= 4 for file in files), suffix
    table = run.out.parent / "planted.parquet"
    pq.write_table(pq.read_table(run.out / "store" / "scans.parquet").append_column(
        "name", [[secret(1)] * 10]), table)  # fmt: skip
    assert f"{table} rows: {secret(1)}" in found(HEADERS, table)


def test_scans_were_read_and_each_refusal_met(run: Run) -> None:
    index = pd.read_parquet(run.out / "store" / "scans.parquet")
    assert len(index) == 10
    assert index["id"].str.fullmatch(r"(scan|dicom)-[0-9a-f]{12}").all()
    assert sorted(index["split"].dropna()) == ["test"] * 2 + ["train"] * 3 + ["validation"]
    # Those of one patient in DICOM, and all others each by itself.
    assert index["subject"].nunique() == 9
    reasons = set(pd.read_parquet(run.out / "store" / "rejected.parquet")["reason"])
    for part in (
        *("a localizer", "Secondary Capture", "uneven gaps", "at 3 position(s)", "one slice"),
        *("SOP class 1.2.3.7", "a damaged CT Image", "2 volumes in one file", "in every voxel"),
        *("same content as scan-", "a label map", "cannot be read to its end", "suffix '.mgz'"),
        *("without the NIfTI mark", "no data file beside it", "that of the image", "no image with"),
        "cannot be decoded",
    ):
        assert any(part in reason for reason in reasons), part


def test_nothing_of_a_header_goes_anywhere(run: Run) -> None:
    assert found(HEADERS, run.out) == []
    assert HEADERS.findall(run.said.encode()) == []


def test_names_of_files_stand_only_where_the_promise_says(run: Run) -> None:
    store = run.out / "store"
    holders = {
        *("store/rejected.parquet", "list.csv", "sources.csv"),
        *("predicted/predictions.csv", "predicted/config.yaml"),
    }
    named = {
        file.relative_to(run.out).as_posix()
        for file in run.out.rglob("*")
        if file.is_file() and found(NAMES, file)
    }
    results = {name for name in named if re.match(r"predicted/.*\.nii\.gz", name)}
    assert named - results == holders
    assert len(results) == 1  # that of the NIfTI file; a DICOM folder's is a digest
    reasons = pd.read_parquet(store / "rejected.parquet")["reason"]
    assert [reason for reason in reasons if NAMES.search(reason.encode())] == []


def test_digests_are_salted(run: Run) -> None:
    texts = {PATIENT_ID, f"{ROOT}{0x0020000D}", run.scans.name}
    for path in run.scans.rglob("*"):
        relative = path.relative_to(run.scans)
        texts |= {path.name, path.name.split(".")[0], str(path), str(relative)}
    plain = "|".join(
        hashlib.new(kind, text.encode()).hexdigest()[:10]
        for kind in ("md5", "sha1", "sha256")
        for text in texts
    )
    kept = [path for path in run.out.iterdir() if path.name != "predicted"]
    assert found(re.compile(plain.encode()), *kept) == []


def test_the_table_that_was_asked_for_says_whose_a_scan_is(run: Run) -> None:
    table = pd.read_csv(run.out / "sources.csv")
    index = pd.read_parquet(run.out / "store" / "scans.parquet")
    assert set(table["id"]) == set(index["id"])
    assert table["path"].map(lambda path: Path(path).exists()).all()
    labelled = index.loc[index["labelled"], "id"]
    assert (table[table["id"].isin(labelled)].groupby("id").size() == 2).all()


def test_text_in_the_pixels_is_told_and_not_pictured(run: Run) -> None:
    warning = "burned-in annotation (BurnedInAnnotation YES)"
    index = pd.read_parquet(run.out / "store" / "scans.parquet")
    burned = index[index["warnings"].map(lambda told: any(warning in text for text in told))]
    (id,) = burned["id"]
    assert run.said.count(warning) == 3  # in the closing table of each run of prepare
    text = (run.out / "store" / "inspect.html").read_text()
    (tile,) = re.findall(rf"<li (?:(?!<li ).)*?<h3>{id}</h3>.*?</li>", text, re.DOTALL)
    assert "not pictured" in tile
    assert warning in tile
    assert "<img" not in tile
    assert len([image for image in Page(text).images if "scan-" in image["alt"]]) == 8


def test_a_store_does_without_what_stays_behind(run: Run, tmp_path: Path) -> None:
    import shutil

    from selfscan.scans.store import Store

    private = shutil.ignore_patterns("rejected.parquet", "records", "salt.txt", "inspect.html")
    shutil.copytree(run.out / "store", tmp_path / "passed on", ignore=private)
    assert found(NAMES, tmp_path) == []
    store = Store(tmp_path / "passed on")
    assert max(store.shape(i) for i in range(len(store))) == SHAPE
    assert store.digest() == Store(run.out / "store").digest()
