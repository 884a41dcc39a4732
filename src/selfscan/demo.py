"""The whole way on generated torsos: scans, store, pre-training, comparison, report."""

from __future__ import annotations

import os
from pathlib import Path

from selfscan.evaluation.compare import compare
from selfscan.files import claim_folder
from selfscan.methods.method import OptimizerConfig
from selfscan.methods.models_genesis import ModelsGenesisConfig
from selfscan.networks.unet3d import UNet3DConfig
from selfscan.progress import console
from selfscan.scans.phantom import write_phantoms
from selfscan.scans.prepare import prepare
from selfscan.training.finetune import FinetuneRecipe
from selfscan.training.pretrain import PretrainRecipe, pretrain
from selfscan.training.probe import ProbeRecipe

_CROP = (24, 24, 24)
_ORGANS = ("lungs", "heart", "liver", "spine")  # the large ones: few voxels are left of others


def demo(
    out: Path = Path("demo"),
    *,
    cases: int = 40,
    labels: tuple[int, ...] = (2, 6),
    seeds: tuple[int, ...] = (0, 1),
    spacing_mm: float = 10.0,
    width: int = 8,
    pretraining_steps: int = 240,
    finetuning_steps: int = 100,
    seed: int = 0,
    workers: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> Path:
    """Generate torsos, pre-train on most of them, and report whether that helped to segment organs.

    The defaults take a few minutes on two cores: coarse voxels, a narrow network, short training.
    They show every part at work, not what a method can do.

    Args:
        out: The folder to write: `scans`, `store`, `models-genesis` (the run), `comparison`.
        cases: Torsos; three in five are labelled, of which half are for fine-tuning.
        labels: Numbers of labelled cases to fine-tune with.
        seeds: One run of each arm and number of labels for each seed.
        spacing_mm: Edge of a voxel.
        width: Of the network; 32 is the published one.
        pretraining_steps: Steps of two crops.
        finetuning_steps: Steps of two crops, for each run.
        seed: Of the torsos and of the pre-training.
        workers: Processes; by default one a core, at most four.
        resume: Go on with what `out` holds.
        overwrite: Delete what `out` holds.

    Returns:
        The report, one HTML file.

    Raises:
        ValueError: An argument out of range.
        SelfscanError: `out` is not empty.
    """
    out = Path(out)
    crew = workers or min(os.cpu_count() or 1, 4)
    claim_folder(out, resume=resume, overwrite=overwrite)
    scans, store, run = out / "scans", out / "store", out / ModelsGenesisConfig.name
    if not (scans / "dataset.json").exists():
        console.print(f"generating {cases} torsos of {spacing_mm:g} mm voxels")
        write_phantoms(
            scans,
            cases=cases,
            labelled=3 * cases // 5,
            organs=_ORGANS,
            seed=seed,
            spacing_mm=(spacing_mm, spacing_mm, spacing_mm),
            workers=crew,
            overwrite=True,
        )
    sources = [scans, scans / "imagesUn"]
    splits = scans / "splits.json"
    prepare(sources, store, splits=splits, modality="ct", workers=crew, resume=True)
    pretrain(
        store,
        run,
        method=ModelsGenesisConfig(
            crop_size=_CROP,
            batch_size=2,
            # The published rate, 1.0 by SGD, is for runs a hundred times as long.
            optimizer=OptimizerConfig(
                learning_rate=1e-3, warmup_steps=pretraining_steps // 20, gradient_clip=1.0
            ),
        ),
        backbone=UNet3DConfig(width=width, norm="instance"),
        recipe=PretrainRecipe(
            steps=pretraining_steps,
            validation_examples=8,
            validate_every=max(pretraining_steps // 5, 1),
            log_every=5,
        ),
        seed=seed,
        resume=True,
    )
    report = compare(
        store,
        out / "comparison",
        checkpoints=[run],
        labels=labels,
        seeds=seeds,
        recipe=FinetuneRecipe(
            steps=finetuning_steps,
            # Short runs need the higher rate: few steps at 1e-3 leave organs unlabelled.
            optimizer=OptimizerConfig(
                learning_rate=5e-3, warmup_steps=finetuning_steps // 10, gradient_clip=1.0
            ),
            overlap=0.25,
        ),
        protocols=("finetune", "linear"),
        probing=ProbeRecipe(voxels_per_class=200, background_voxels=2000, overlap=0.25),
        workers=crew,
        resume=True,
    )
    console.print(f"open {report.resolve()} in a browser", highlight=False, soft_wrap=True)
    return report
