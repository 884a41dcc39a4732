"""The MONAI bundle: plain MONAI runs it, and labels as `predict` does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from small_models import write_model

from selfscan.exits.export import export
from selfscan.exits.leaving import leaving
from selfscan.exits.monai_bundle import bundled_network
from selfscan.networks.swin_unetr import SwinUNETRConfig
from selfscan.training.predict import predict


def write_scan(path: Path, seed: int) -> None:
    """A CT of smooth noise whose axes point to the left, front and top."""
    random = np.random.default_rng(seed)
    blocks = random.uniform(-300, 500, size=(5, 4, 3))
    voxels = np.kron(blocks, np.ones((6, 7, 4))) + random.normal(0, 20, size=(30, 28, 12))
    path.parent.mkdir(exist_ok=True)
    image = nibabel.Nifti1Image(voxels.astype(np.int16), np.diag([-1.0, 1.5, 2.0, 1.0]))
    nibabel.save(image, path)


@pytest.mark.slow
def test_plain_monai_labels_scans_as_predict_does(tmp_path: Path) -> None:
    pytest.importorskip("fire", reason="the extra monai is not installed")
    pytest.importorskip("ignite", reason="the extra monai is not installed")
    run = write_model(tmp_path / "run")
    out = export(run, tmp_path / "out", to="monai")
    write_scan(out / "scans" / "a.nii.gz", 0)
    config = ["--config_file", "configs/inference.json", "--bundle_root", "."]
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", *config]
    # Without this project on the path: the bundle must stand on its own.
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=out, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (ours,) = predict(out / "scans", tmp_path / "ours", checkpoint=run, modality="ct")
    one, other = nibabel.load(ours), nibabel.load(out / "predictions" / "a.nii.gz")
    np.testing.assert_allclose(one.affine, other.affine)
    labels = np.asarray(one.dataobj)
    assert len(np.unique(labels)) == 3
    assert (labels == np.asarray(other.dataobj)).mean() > 0.9999


def test_the_configuration_is_that_of_the_model(tmp_path: Path) -> None:
    run = write_model(tmp_path / "run", channels=2, spacing=(1.0, 1.0, 2.0))
    out = export(run, tmp_path / "out", to="monai")
    files = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    assert files == [
        "configs/inference.json",
        "configs/metadata.json",
        "docs/README.md",
        "models/model.ts",
    ]
    inference = json.loads((out / "configs" / "inference.json").read_text())
    names = [step["_target_"] for step in inference["preprocessing_ct"]["transforms"]]
    assert names == [
        "LoadImaged",
        "Orientationd",
        "Spacingd",
        "ScaleIntensityRanged",
        "EnsureTyped",
    ]
    assert inference["preprocessing_ct"]["transforms"][3]["a_min"] == -100
    assert inference["preprocessing_other"]["transforms"][1]["upper"] == 99.5
    assert inference["inferer"]["roi_size"] == [16, 24, 8]
    assert "_0000.nii.gz" in inference["datalist"]
    metadata = json.loads((out / "configs" / "metadata.json").read_text())
    described = metadata["network_data_format"]
    assert described["inputs"]["image"]["num_channels"] == 2
    assert described["outputs"]["pred"]["num_channels"] == 3
    assert metadata["selfscan"]["store_digest"] == "abcdef"


@pytest.mark.parametrize("part", ["backbone", "encoder"])
def test_a_pretrained_network_gives_its_finest_features(tmp_path: Path, part: str) -> None:
    run = write_model(tmp_path / "run", segmentation=False, part=part)  # type: ignore[arg-type]
    out = export(run, tmp_path / "out", to="monai")
    model = leaving(run)
    volumes = model.example()
    found = torch.jit.load(out / "models" / "model.ts")(volumes)
    features = model.backbone(volumes)
    pyramid = features.decoder if part == "backbone" else features.encoder
    torch.testing.assert_close(found, pyramid[0])


@pytest.mark.slow
def test_a_coarse_encoder_is_enlarged_and_swin_unetr_leaves_for_monai_too(tmp_path: Path) -> None:
    from monai.networks import nets

    from selfscan.checkpoints.checkpoint import load, save

    network = SwinUNETRConfig(feature_size=12, depths=(1, 1, 1, 1), window_size=2)
    run = write_model(tmp_path / "run", network, segmentation=False, part="encoder")
    checkpoint = load(run)
    object.__setattr__(checkpoint, "crop_size", (64, 32, 32))
    save(checkpoint, run / "best.safetensors")
    model = leaving(run)
    volumes = model.example()
    with torch.no_grad():
        maps = bundled_network(model)(volumes)
        (finest, *_) = model.backbone.encode(volumes)
    assert torch.equal(maps[..., ::2, ::2, ::2], finest)
    assert maps.shape[2:] == volumes.shape[2:]
    out = export(run, tmp_path / "out", to="monai")
    plain = nets.SwinUNETR(1, 2, feature_size=12, depths=(1, 1, 1, 1), window_size=2)
    weights = torch.load(out / "models" / "swin_unetr.pt", weights_only=True)
    taken = plain.load_state_dict(weights, strict=False)
    assert not taken.unexpected_keys
    assert not [name for name in taken.missing_keys if name.startswith("swinViT.")]
