"""Predictions lie voxel for voxel on the scan as it was read, whatever its orientation."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from selfscan.checkpoints.checkpoint import Checkpoint, save
from selfscan.checkpoints.loading import weights_of
from selfscan.errors import SelfscanError
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.scans.contract import PreprocessingContract
from selfscan.scans.read import read_labels, read_series
from selfscan.training import predict as module
from selfscan.training.classifier import Classifier
from selfscan.training.engine import EngineConfig
from selfscan.training.predict import predict

THRESHOLD_HU = 100.5
ENGINE = EngineConfig(accelerator="cpu", precision="32-true")


LABELS = {0: "background", 1: "bright"}


class Threshold(nn.Module):
    """Labels what is brighter than a threshold, as a segmenter that was trained for it would."""

    label_names = LABELS
    window_hu = (-1000.0, 1000.0)
    backbone = SimpleNamespace(mixes_batch=False)

    def forward(self, volumes: Tensor) -> Tensor:
        bright = 100 * (volumes[:, :1] - (THRESHOLD_HU + 1000) / 2000)
        return torch.cat([-bright, bright], dim=1)


MODEL = Checkpoint(
    weights={},
    backbone=UNet3DConfig(),
    in_channels=1,
    task="segmentation",
    contract=PreprocessingContract(),
    window_hu=Threshold.window_hu,
    crop_size=(16, 16, 16),
    label_names=Threshold.label_names,
)


@pytest.fixture
def with_model(monkeypatch: pytest.MonkeyPatch):
    """Let `predict` load the threshold, trained under a contract."""

    def use(model: Checkpoint) -> None:
        monkeypatch.setattr(module, "load_model", lambda path: (Threshold(), model))

    use(MODEL)
    return use


def ball(shape: tuple[int, int, int] = (24, 18, 20)) -> npt.NDArray[np.int16]:
    """A CT of a bright ellipsoid with smooth borders, off the center along each axis."""
    place = (np.indices(shape) - np.array([9, 10, 8])[:, None, None, None]) / np.array([6, 5, 7])[
        :, None, None, None
    ]
    distance = np.linalg.norm(place, axis=0)
    return np.round(400 * (1.5 - distance)).clip(-1000, 400).astype(np.int16)


def oblique() -> npt.NDArray[np.float64]:
    """Turned by 25 degrees about z and 10 about x, 0.9 x 1.1 x 1.6 mm."""
    a, b = np.radians([25, 10])
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x * [0.9, 1.1, 1.6]
    affine[:3, 3] = -40, 25.5, 7
    return affine


def permuted() -> npt.NDArray[np.float64]:
    """Axes stored as (down, right, back)."""
    affine = np.zeros((4, 4))
    affine[2, 0], affine[0, 1], affine[1, 2], affine[3, 3] = -1.5, 1, -0.8, 1
    affine[:3, 3] = 10, 20, 30
    return affine


AFFINES = {
    "plain": np.eye(4),
    "left-handed": np.diag([-1.0, 1, 1, 1]),
    "all flipped": np.diag([-1.2, -1, -2, 1]),
    "permuted": permuted(),
    "oblique": oblique(),
    "oblique, left-handed": oblique() @ np.diag([1, -1, 1, 1]),
    "oblique, permuted": oblique()[:, [2, 0, 1, 3]],
}


def write_scan(path: Path, voxels: npt.NDArray[np.int16], affine: npt.NDArray[np.float64]) -> None:
    path.parent.mkdir(exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)


@pytest.mark.parametrize("kind", AFFINES)
def test_labels_lie_on_the_voxels_of_the_original(tmp_path: Path, with_model, kind: str) -> None:
    voxels = ball()
    write_scan(tmp_path / "in" / "case.nii.gz", voxels, AFFINES[kind])
    (path,) = predict(
        tmp_path / "in", tmp_path / "out", checkpoint=tmp_path, modality="ct", engine=ENGINE
    )
    image = nibabel.load(path)
    np.testing.assert_array_equal(np.asarray(image.dataobj), voxels > THRESHOLD_HU)
    np.testing.assert_allclose(image.affine, AFFINES[kind], atol=1e-5)
    np.testing.assert_allclose(image.get_qform(), AFFINES[kind], atol=1e-3)
    assert image.header.get_xyzt_units()[0] == "mm"
    assert image.get_data_dtype() == np.uint8


@pytest.mark.parametrize("kind", AFFINES)
def test_a_model_of_another_spacing(tmp_path: Path, with_model, kind: str) -> None:
    with_model(replace(MODEL, contract=PreprocessingContract(spacing=(1.3, 1.2, 1.1))))
    voxels = ball()
    write_scan(tmp_path / "case.nii", voxels, AFFINES[kind])
    (path,) = predict(
        tmp_path / "case.nii", tmp_path / "out", checkpoint=tmp_path, modality="ct", engine=ENGINE
    )
    found, truth = read_labels(path).voxels[0] == 1, voxels > THRESHOLD_HU
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.95


def test_one_bad_scan_does_not_stop_the_others(tmp_path: Path, with_model) -> None:
    for name in ("a", "c"):
        write_scan(tmp_path / "in" / f"{name}.nii.gz", ball(), np.eye(4))
    (tmp_path / "in" / "b.nii.gz").write_bytes(b"no image")
    out = tmp_path / "out"
    paths = predict(tmp_path / "in", out, checkpoint=tmp_path, engine=ENGINE)
    assert [path.name for path in paths] == ["a.nii.gz", "c.nii.gz"]
    rows = (out / "predictions.csv").read_text().splitlines()
    assert len(rows) == 4
    assert "b.nii.gz,left out," in rows[2]
    assert "without the NIfTI mark" in rows[2]
    described = json.loads((out / "dataset.json").read_text())
    assert described == {"labels": {"background": 0, "bright": 1}, "file_ending": ".nii.gz"}


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["mixed_folder", "oblique_implicit_vr"])
def test_dicom_series_are_labelled_in_their_own_places(
    tmp_path: Path, with_model, data_folder: Path, folder: str
) -> None:
    source = data_folder / "ingest" / "dicom" / folder
    paths = predict(source, tmp_path / "out", checkpoint=tmp_path, modality="ct", engine=ENGINE)
    scans = read_series(source)
    assert len(paths) == len(scans)
    for path, scan in zip(paths, scans, strict=True):
        labels = read_labels(path)
        np.testing.assert_array_equal(labels.voxels[0], scan.voxels[0] > THRESHOLD_HU)
        np.testing.assert_allclose(labels.affine, scan.affine, atol=1e-3)


def test_resume_leaves_alone_what_is_there(tmp_path: Path, with_model) -> None:
    for name in ("a", "b"):
        write_scan(tmp_path / "in" / f"{name}.nii.gz", ball(), np.eye(4))
    out = tmp_path / "out"
    predict(tmp_path / "in", out, checkpoint=tmp_path, engine=ENGINE)
    (out / "a.nii.gz").write_bytes(b"kept")
    (out / "b.nii.gz").unlink()
    with pytest.raises(SelfscanError, match="not empty"):
        predict(tmp_path / "in", out, checkpoint=tmp_path, engine=ENGINE)
    paths = predict(tmp_path / "in", out, checkpoint=tmp_path, engine=ENGINE, resume=True)
    assert [path.name for path in paths] == ["a.nii.gz", "b.nii.gz"]
    assert (out / "a.nii.gz").read_bytes() == b"kept"
    assert read_labels(out / "b.nii.gz").voxels.any()


def test_nothing_usable_is_an_error(tmp_path: Path, with_model) -> None:
    (tmp_path / "b.nii.gz").write_bytes(b"no image")
    with pytest.raises(SelfscanError, match="no scan that could be segmented among 1"):
        predict(tmp_path / "b.nii.gz", tmp_path / "out", checkpoint=tmp_path, engine=ENGINE)


def test_channels_must_be_those_of_the_model(tmp_path: Path, with_model) -> None:
    with_model(replace(MODEL, in_channels=2))
    write_scan(tmp_path / "a.nii.gz", ball(), np.eye(4))
    with pytest.raises(SelfscanError, match="no scan that could be segmented"):
        predict(tmp_path / "a.nii.gz", tmp_path / "out", checkpoint=tmp_path, engine=ENGINE)
    assert "found 1 channels" in (tmp_path / "out" / "predictions.csv").read_text()


def test_bad_arguments(tmp_path: Path, with_model) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz", ball(), np.eye(4))
    with pytest.raises(ValueError, match=r"overlap must lie in \[0, 1\)"):
        predict(tmp_path / "in", tmp_path / "out", checkpoint=tmp_path, overlap=1)
    with pytest.raises(ValueError, match="modality must be auto"):
        predict(tmp_path / "in", tmp_path / "out", checkpoint=tmp_path, modality="us")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="out must not lie inside the scans"):
        predict(tmp_path / "in", tmp_path / "in" / "out", checkpoint=tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = UNet3DConfig(width=2, norm="instance")
    model = Classifier(network.build(1), label_names={0: "ill", 1: "01"}, window_hu=(-1000, 1000))
    checkpoint = replace(
        MODEL,
        weights=weights_of(model, "encoder"),
        backbone=network,
        task="classification",
        part="encoder",
        label_names=model.label_names,
    )
    save(checkpoint, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_a_classifier_gives_a_table(tmp_path: Path, classifier: Path) -> None:
    for name in ("007", "b"):
        write_scan(tmp_path / "in" / f"{name}.nii.gz", ball(), AFFINES["permuted"])
    (tmp_path / "in" / "c.nii.gz").write_bytes(b"no image")
    out, options = tmp_path / "out", {"checkpoint": classifier, "engine": ENGINE}
    (path,) = predict(tmp_path / "in", out, modality="ct", **options)
    table = pd.read_csv(path, dtype={"case": str})
    assert list(table.columns) == ["case", "predicted", "p(ill)", "p(01)"]
    assert list(table["case"]) == ["007", "b"]
    assert table[["p(ill)", "p(01)"]].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)
    assert "c.nii.gz,left out," in (out / "predictions.csv").read_text()
    assert not (out / "dataset.json").exists()
    # A row that is there is kept, another is added.
    path.write_text("case,predicted,p(ill),p(01)\n007,01,0.25,0.75\n")
    predict(tmp_path / "in", out, modality="ct", resume=True, **options)
    again = pd.read_csv(path, dtype={"case": str, "predicted": str}).set_index("case")
    assert list(again.loc["007"]) == ["01", 0.25, 0.75]
    assert again.loc["b", "p(ill)"] == table["p(ill)"][1]
