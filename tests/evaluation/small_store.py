"""A store of ten tiny labelled scans, and a checkpoint that fits it, for comparisons of seconds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from selfscan.checkpoints.checkpoint import Checkpoint, save
from selfscan.methods.models_genesis import ModelsGenesisConfig
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.scans.contract import PreprocessingContract
from selfscan.scans.index import write_index
from selfscan.scans.inputs.sources import Source
from selfscan.scans.preparation.ingest import store_scan
from selfscan.scans.preparation.notes import Settings
from selfscan.scans.scan import Scan

NETWORK = UNet3DConfig(width=2, norm="instance")
SPLITS = ("train",) * 5 + ("validation",) + ("test",) * 4


def write_small_store(out: Path, *, tissue: bool = False) -> Path:
    """CT of 16 x 16 x 16 voxels of 2 mm, each with one bright ball of label 1.

    With other tissue in each patient they are no near-duplicates.
    """
    contract = PreprocessingContract()
    settings = Settings(contract, "nearest", (), None, "salt")
    affine = np.diag((2.0, 2.0, 2.0, 1.0))
    records = []
    for number, split in enumerate(SPLITS):
        random = np.random.default_rng(number)
        center = random.integers(6, 10, 3)[:, None, None, None]
        ball = np.linalg.norm(np.indices((16, 16, 16)) - center, axis=0) < 4.5
        volume = np.where(ball, 300.0, -100.0)
        if tissue:
            volume += random.normal(0, 80, (4, 4, 4)).repeat(4, 0).repeat(4, 1).repeat(4, 2)
        volume += random.normal(0, 30, ball.shape)
        scan = Scan(volume.astype(np.int16)[None], affine, modality=("ct",))
        mask = Scan(ball.astype(np.uint8)[None], affine)
        source = Source(f"scan-{number}", (Path(f"{number}.nii.gz"),), split=split)
        prepared = contract.apply(scan, mask)
        records.append(store_scan(source.name, scan, prepared, out, settings, source))
    (out / "contract.json").write_text(json.dumps(contract.to_json()))
    write_index(out, records, [], {0: "background", 1: "ball"})
    return out


def write_run(
    folder: Path, *, contract: PreprocessingContract | None = None, steps: int = 123
) -> Path:
    """A pre-training run whose backbone has recognizable random weights."""
    torch.manual_seed(42)
    weights = {f"backbone.{name}": w for name, w in NETWORK.build(1).state_dict().items()}
    checkpoint = Checkpoint(
        weights=weights,
        backbone=NETWORK,
        in_channels=1,
        task="pretraining",
        contract=contract or PreprocessingContract(),
        window_hu=(-500.0, 500.0),
        crop_size=(16, 16, 16),
        method=ModelsGenesisConfig(),
        scans=7,
        steps=steps,
        license_note="mind the patent",
    )
    folder.mkdir(parents=True, exist_ok=True)
    save(checkpoint, folder / "best.safetensors")
    (folder / "metrics.csv").write_text("step,name,value\n1,train/loss,0.5\n2,train/loss,0.4\n")
    volume = np.zeros((1, 1, 16, 16, 16), np.float16)
    np.savez_compressed(folder / "examples.npz", input=volume, output=volume, target=volume)
    return folder
