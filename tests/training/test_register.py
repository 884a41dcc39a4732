"""The verb on files: what it writes is what SimpleITK makes of its displacement field."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK
from geometries import affine_of, turned
from gvsl_run import RANDOM, SMALL, write_run

from selfscan.checkpoints.checkpoint import load, save
from selfscan.errors import ScanError, SelfscanError
from selfscan.methods.models_genesis import ModelsGenesisConfig
from selfscan.scans.contract import PreprocessingContract
from selfscan.training.engine import EngineConfig
from selfscan.training.register import register

ENGINE = EngineConfig(accelerator="cpu", precision="32-true")
PLAIN = affine_of(np.eye(3), (3, -4, 5))
AFFINES = {
    "plain": PLAIN,
    "flipped": affine_of(np.diag([-1.2, -1.0, 1.5]), (14, 13, -4)),
    "oblique": affine_of(turned(25, 10) * [0.9, 1.1, 1.6], (-10, 5, 7)),
    "permuted": affine_of([[0, 1, 0], [0, 0, -0.8], [-1.5, 0, 0]], (1, 20, 30)),
}
SHAPE = (26, 18, 14)


def a_scan(seed: int, shape: tuple[int, int, int] = SHAPE) -> npt.NDArray[np.int16]:
    """Soft waves of positive values."""
    random = np.random.default_rng(seed)
    waves = sum(np.cos(random.uniform(0.2, 0.5) * axis + seed) for axis in np.indices(shape))
    return (200 * waves + 700 + random.normal(0, 20, shape)).astype(np.int16)


def write(path: Path, voxels: npt.NDArray[Any], affine: npt.NDArray[np.float64]) -> Path:
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    return path


def scans(tmp_path: Path, moving: str = "plain", fixed: str = "plain") -> dict[str, Path]:
    return {
        "moving": write(tmp_path / "moving.nii.gz", a_scan(0), AFFINES[moving]),
        "fixed": write(tmp_path / "fixed.nii.gz", a_scan(1, (20, 22, 16)), AFFINES[fixed]),
        "checkpoint": tmp_path / "run",
    }


def by_itk(moving: Path, fixed: Path, field: Path, *, outside: float, nearest: bool = False) -> Any:
    image = SimpleITK.Resample(
        SimpleITK.ReadImage(str(moving), SimpleITK.sitkFloat64),
        SimpleITK.ReadImage(str(fixed)),
        SimpleITK.DisplacementFieldTransform(
            SimpleITK.ReadImage(str(field), SimpleITK.sitkVectorFloat64)
        ),
        SimpleITK.sitkNearestNeighbor if nearest else SimpleITK.sitkLinear,
        outside,
    )
    return SimpleITK.GetArrayFromImage(image).T


@pytest.mark.parametrize(
    ("moving", "fixed"),
    [("plain", "oblique"), ("oblique", "flipped"), ("flipped", "permuted"), ("permuted", "plain")],
)
def test_itk_moves_the_scan_to_the_same_place(tmp_path: Path, moving: str, fixed: str) -> None:
    """SimpleITK adds the vectors of the file to places in LPS; it turns no sign."""
    contract = PreprocessingContract(spacing=(1.1, 1.0, 1.2))
    write_run(tmp_path / "run", RANDOM, contract=contract)
    given = scans(tmp_path, moving, fixed)
    labels = (a_scan(0) // 100 % 4).astype(np.uint8)
    label_file = write(tmp_path / "labels.nii.gz", labels, AFFINES[moving])
    out = register(**given, out=tmp_path / "out", labels=label_file, modality="mr", engine=ENGINE)
    image, field = nibabel.load(out / "moved.nii.gz"), out / "displacement.nii.gz"
    moved = np.asarray(image.dataobj)
    np.testing.assert_allclose(image.affine, AFFINES[fixed], atol=1e-5)
    assert moved.dtype == np.int16
    around = int(np.rint(np.percentile(a_scan(0), 0.5)))
    expected = by_itk(given["moving"], given["fixed"], field, outside=around)
    # Places are stored in float32: a value may be rounded the other way, a border fall outside.
    close = np.abs(moved - expected) <= 0.6
    assert close.mean() > 0.995
    assert (moved != around).mean() > 0.2
    moved_labels = np.asarray(nibabel.load(out / "moved_labels.nii.gz").dataobj)
    expected = by_itk(label_file, given["fixed"], field, outside=0, nearest=True)
    assert moved_labels.dtype == np.uint8
    assert (moved_labels == expected).mean() > 0.995


def test_an_untrained_network_lays_the_scans_on_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Same grids up to their place: voxels go over as they are."""
    write_run(tmp_path / "run")
    fixed_affine = affine_of(np.eye(3), (40, 0, -7))
    moving = write(tmp_path / "moving.nii.gz", a_scan(0), PLAIN)
    fixed = write(tmp_path / "fixed.nii.gz", a_scan(1), fixed_affine)
    arguments: dict[str, Any] = {"checkpoint": tmp_path / "run", "engine": ENGINE}
    out = register(moving, fixed, tmp_path / "out", modality="ct", **arguments)
    np.testing.assert_array_equal(nibabel.load(out / "moved.nii.gz").dataobj, a_scan(0))
    field = np.asarray(nibabel.load(out / "displacement.nii.gz").dataobj)
    np.testing.assert_allclose(field[:, :, :, 0], np.broadcast_to([37, 4, 12], (*SHAPE, 3)),
                               atol=1e-4)  # fmt: skip
    assert not (out / "moved_labels.nii.gz").exists()
    facts = json.loads((out / "registration.json").read_text())
    assert facts["correlation_before"] == pytest.approx(facts["correlation_after"], abs=1e-6)
    assert facts["folding"] == 0
    shown = capsys.readouterr().err
    assert f"{facts['correlation_before']:.3f} laid on it" in shown
    assert "folds in 0.00% of the voxels" in shown


def test_around_a_ct_is_air(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    moving = write(tmp_path / "moving.nii.gz", a_scan(0) - 1500, PLAIN)
    fixed = write(tmp_path / "fixed.nii.gz", a_scan(1, (34, 18, 14)), PLAIN)
    out = register(
        moving, fixed, tmp_path / "out", checkpoint=tmp_path / "run", modality="ct", engine=ENGINE
    )
    moved = np.asarray(nibabel.load(out / "moved.nii.gz").dataobj)
    assert (moved[:4] == -1024).all()
    assert (moved[30:] == -1024).all()
    np.testing.assert_array_equal(moved[4:30], a_scan(0) - 1500)


def test_each_channel_is_moved(tmp_path: Path) -> None:
    write_run(tmp_path / "run", channels=2)
    pair = [write(tmp_path / f"{n}.nii.gz", a_scan(n), PLAIN) for n in range(2)]
    out = register(
        pair, pair[::-1], tmp_path / "out", checkpoint=tmp_path / "run", modality="mr",
        engine=ENGINE,
    )  # fmt: skip
    for number in range(2):
        moved = nibabel.load(out / f"moved_000{number}.nii.gz")
        np.testing.assert_array_equal(moved.dataobj, a_scan(number))
    with pytest.raises(ScanError, match="found 1 channels; expected 2, as the network was"):
        register(pair, pair[0], tmp_path / "o", checkpoint=tmp_path / "run", engine=ENGINE)
    assert not (tmp_path / "o").exists()


def test_a_finished_result_is_kept(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    given: dict[str, Any] = {**scans(tmp_path), "out": tmp_path / "out", "engine": ENGINE}
    out = register(**given)
    (out / "moved.nii.gz").write_bytes(b"kept")
    with pytest.raises(SelfscanError, match="not empty"):
        register(**given)
    assert register(**given, resume=True) == out
    assert (out / "moved.nii.gz").read_bytes() == b"kept"
    (out / "registration.json").unlink()
    register(**given, resume=True)
    assert nibabel.load(out / "moved.nii.gz").shape == (20, 22, 16)


def test_what_cannot_be_registered_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", SMALL)
    given: dict[str, Any] = {**scans(tmp_path), "out": tmp_path / "out", "engine": ENGINE}
    genesis = replace(load(run), method=ModelsGenesisConfig())
    save(genesis, tmp_path / "genesis.safetensors")
    with pytest.raises(SelfscanError, match="expected one of pretraining with gvsl"):
        register(**given | {"checkpoint": tmp_path / "genesis.safetensors"})
    flat = write(tmp_path / "flat.nii.gz", np.zeros(SHAPE, np.int16), PLAIN)
    with pytest.raises(ScanError, match="the value 0 in every voxel"):
        register(**given | {"moving": flat})
    labels = write(tmp_path / "labels.nii.gz", np.ones((5, 5, 5), np.uint8), PLAIN)
    with pytest.raises(ScanError, match="found shape 5 x 5 x 5; expected shape 26 x 18 x 14"):
        register(**given, labels=labels)
    with pytest.raises(ValueError, match="modality must be auto, ct, mr, pt or other, got 'us'"):
        register(**given, modality="us")
    assert not (tmp_path / "out").exists()
