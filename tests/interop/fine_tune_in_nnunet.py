"""Run by nnU-Net's Python: read an export, compare the encoder, fine-tune a few steps.

Arguments: a folder with `array.npy` to write to; the export; `weights` for -pretrained_weights or
`plan` for the adaptation plan. It knows nothing of selfscan.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

DATASET = "Dataset001_Tiny"
FOLDERS = ("raw", "preprocessed", "results")


def main(work: Path, export: Path, way: str) -> None:
    for name in FOLDERS:
        (work / name).mkdir(exist_ok=True)
        os.environ[f"nnUNet_{name}"] = str(work / name)
    os.environ |= {"nnUNet_n_proc_DA": "1", "nnUNet_compile": "f"}
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    write_dataset(work / "raw" / DATASET)
    trainer = by_plan(work, export) if way == "plan" else by_weights(work, export)
    compare(trainer.network, work)
    os.environ |= {"nnUNet_n_proc_DA": "0"}
    trainer.num_epochs, trainer.save_every = 1, 1
    trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch = 2, 1
    before = {name: w.clone() for name, w in trainer.network.state_dict().items()}
    trainer.run_training()
    moved = [name for name, w in trainer.network.state_dict().items() if not w.equal(before[name])]
    losses = [float(loss) for loss in trainer.logger.get_value("train_losses", None)]
    print(json.dumps({"moved": len(moved), "losses": losses, "trainer": type(trainer).__name__}))


def write_dataset(folder: Path) -> None:
    """Three small CT scans with a bright ball to find."""
    import nibabel
    import numpy as np

    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*map(np.arange, (40, 36, 24)), indexing="ij"))
    for case in range(3):
        center = np.array([18 + case, 17, 12])[:, None, None, None]
        ball = (((grid - center) ** 2).sum(axis=0) < 49).astype(np.uint8)
        voxels = (random.normal(0, 50, ball.shape) + 300.0 * ball).astype(np.int16)
        for kind, array in (("imagesTr", voxels), ("labelsTr", ball)):
            ending = "_0000.nii.gz" if kind == "imagesTr" else ".nii.gz"
            image = nibabel.Nifti1Image(array, np.eye(4))
            nibabel.save(image, folder / kind / f"case{case}{ending}")
    described = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "ball": 1},
        "numTraining": 3,
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "NibabelIOWithReorient",
    }
    (folder / "dataset.json").write_text(json.dumps(described))


def planned(work: Path) -> Path:
    """Plans as nnU-Net makes them by itself."""
    from nnunetv2.experiment_planning.plan_and_preprocess_api import (
        extract_fingerprints,
        plan_experiments,
    )

    extract_fingerprints([1], num_processes=1, clean=True, verbose=False)
    plan_experiments([1])
    return work / "preprocessed" / DATASET / "nnUNetPlans.json"


def by_weights(work: Path, export: Path):
    """The way of any nnU-Net 2: our architecture in the plan, weights by -pretrained_weights."""
    import torch
    from nnunetv2.experiment_planning.plan_and_preprocess_api import preprocess
    from nnunetv2.run.load_pretrained_weights import load_pretrained_weights
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    path = planned(work)
    plans = json.loads(path.read_text())
    ours = json.loads((export / "configuration.json").read_text())
    configuration = plans["configurations"]["3d_fullres"]
    configuration["architecture"] = ours["architecture"]
    configuration["patch_size"] = ours["patch_size"]
    configuration["batch_size"] = 2
    path.write_text(json.dumps(plans))
    preprocess([1], configurations=["3d_fullres"], num_processes=[1])
    trainer = nnUNetTrainer(
        plans=plans | {"continue_training": False},
        configuration="3d_fullres",
        fold="all",
        dataset_json=json.loads((path.parent / "dataset.json").read_text()),
        device=torch.device("cpu"),
    )
    trainer.initialize()
    load_pretrained_weights(trainer.network, str(export / "checkpoint_final.pth"))
    return trainer


def by_plan(work: Path, export: Path):
    """The way of nnU-Net's repository: a plan from the checkpoint, its trainer for fine-tuning."""
    import torch
    from nnunetv2.experiment_planning.like_nnssl import preprocess_like_nnssl
    from nnunetv2.run.run_training_from_pretrained import get_trainer_from_args

    folder = planned(work).parent
    checkpoint = str(export / "checkpoint_final.pth")
    preprocess_like_nnssl(1, "selfscan", checkpoint, "like_pretrained", None, 1, False)
    (plans,) = folder.glob("ptPlans__selfscan*.json")
    trainer = get_trainer_from_args(
        "1", "3d_fullres", "all", "PretrainedTrainer", plans.stem, device=torch.device("cpu")
    )
    trainer.initialize()
    return trainer


def compare(network, work: Path) -> None:
    """The maps of nnU-Net's encoder for `array.npy`, a volume (X, Y, Z), as `maps.npz`."""
    import numpy as np
    import torch

    volume = torch.from_numpy(np.load(work / "array.npy"))
    network.eval()
    with torch.no_grad():
        maps = network.encoder(volume.permute(2, 1, 0)[None, None].contiguous())
    network.train()
    np.savez(work / "maps.npz", *[level[0].permute(0, 3, 2, 1).numpy() for level in maps])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
