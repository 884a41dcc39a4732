"""The verb `finetune`: train a segmentation model, from a checkpoint or from scratch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import nn

from selfscan.checkpoints.checkpoint import Checkpoint
from selfscan.checkpoints.loading import LoadReport, load_weights, tell_load_report
from selfscan.errors import SelfscanError
from selfscan.networks.backbone import BackboneConfig, Part
from selfscan.scans.crops import Batch, CropDataset, LabelCrops, batches
from selfscan.scans.store import Store
from selfscan.training.engine import EngineConfig
from selfscan.training.finetune_recipe import FinetuneRecipe, Load
from selfscan.training.loop import LoopConfig, fit
from selfscan.training.optimization import ParameterGroup
from selfscan.training.run_folder import open_run_folder
from selfscan.training.seeds import derive_seed
from selfscan.training.segmentation import Segmenter
from selfscan.training.start import (
    Start,
    labelled_cases,
    labelled_split,
    starting_point,
)
from selfscan.training.supervised import SupervisedSegmentation, validation_dice

__all__ = ["FinetuneRecipe", "build_segmenter", "finetune"]

_RECIPE, _ENGINE = FinetuneRecipe(), EngineConfig()


def finetune(
    store: Path | str,
    out: Path | str,
    *,
    checkpoint: Path | None = None,
    backbone: BackboneConfig | None = None,
    cases: int | Sequence[str] | None = None,
    recipe: FinetuneRecipe = _RECIPE,
    train_split: str = "train",
    validation_split: str | None = "validation",
    engine: EngineConfig = _ENGINE,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
) -> Path:
    """Train a segmentation model on the labelled scans of a split.

    With and without a checkpoint, a seed gives the same head, crops, augmentation and order, so
    that runs differ in the backbone's initial weights alone. `load_report.json` says what was
    loaded. The best checkpoint by validation Dice is kept beside the last one; without validation
    scans there is the last one only.

    Args:
        store: A prepared store with labels.
        out: The run folder.
        checkpoint: A run folder or checkpoint file to start from; None starts from scratch.
        backbone: The network, where there is no checkpoint.
        cases: Labelled cases to learn from: all, the first so many in a fixed order, or these ids.
        recipe: How to train.
        train_split: The split of the labelled cases.
        validation_split: The split that chooses the best checkpoint, if the store has it.
        engine: Where to compute.
        seed: Of initial weights, crops and augmentation.
        resume: Go on with the unfinished run in `out`.
        overwrite: Delete what `out` holds.

    Returns:
        The run folder.

    Raises:
        SelfscanError: Too few labelled cases, weights that do not fit, or a folder in the way.
        ContractError: The store was prepared otherwise than what the checkpoint was trained on.
        Interrupted: SIGINT or SIGTERM came; the state is saved.
        ValueError: Arguments that contradict each other, or a network that cannot segment.
    """
    arguments = dict(locals())
    out, scans = Path(out), Store(store)
    start = starting_point(
        scans,
        checkpoint=checkpoint,
        backbone=backbone,
        crop_size=recipe.crop_size,
        window_hu=recipe.window_hu,
    )
    train = labelled_cases(scans, train_split, cases)
    validation = labelled_split(scans, validation_split)
    segmenter, report = build_segmenter(start, train.label_names, load=recipe.load, seed=seed)

    fabric = engine.fabric()
    open_run_folder(out, arguments, fabric=fabric, resume=resume, overwrite=overwrite)
    if fabric.is_global_zero:
        tell_load_report(report, out)
    loaded, random = split_parameters(segmenter, start, recipe.load)
    groups = [ParameterGroup(random)]
    if loaded:
        groups.append(
            ParameterGroup(
                loaded,
                rate=recipe.backbone_rate,
                frozen_steps=recipe.freeze_steps,
                doubling_steps=recipe.backbone_doubling_steps,
                name="backbone",
            )
        )
    count = recipe.steps * recipe.accumulate
    dataset = CropDataset(
        train,
        LabelCrops(start.crop_size, recipe.foreground_share),
        seed=derive_seed(seed, "crops"),
        length=count * recipe.batch_size * fabric.world_size,
        with_labels=True,
    )

    def crops(first_step: int) -> Iterable[Batch]:
        return batches(
            dataset,
            batch_size=recipe.batch_size,
            steps=count,
            first_step=first_step * recipe.accumulate,
            rank=fabric.global_rank,
            world_size=fabric.world_size,
            workers=engine.workers,
            pin_memory=fabric.device.type == "cuda",
        )

    def validate() -> dict[str, float]:
        return validation_dice(
            segmenter,
            validation,
            crop_size=start.crop_size,
            overlap=recipe.overlap,
            fabric=fabric,
        )

    def export(step: int) -> Checkpoint:
        return segmentation_checkpoint(segmenter, start, train, step)

    fit(
        SupervisedSegmentation(
            segmenter,
            spacings=torch.tensor([record.spacing for record in train]),
            augmentation=recipe.augmentation,
            loss=recipe.loss,
            frozen=loaded,
            freeze_steps=recipe.freeze_steps if loaded else 0,
            seed=derive_seed(seed, "augmentation"),
        ),
        crops,
        parameters=groups,
        optimizer=recipe.optimizer,
        config=LoopConfig(
            steps=recipe.steps,
            accumulate=recipe.accumulate,
            validate_every=recipe.validate_every if validation else 0,
            checkpoint_every=recipe.checkpoint_every,
        ),
        fabric=fabric,
        folder=out,
        validate=validate,
        select="dice",
        maximize=True,
        quality="validation Dice",
        export=export,
        seed=seed,
        resume=resume,
        title="finetune",
    )
    return out


def build_segmenter(
    start: Start, label_names: dict[int, str], *, load: Load, seed: int
) -> tuple[Segmenter, LoadReport | None]:
    """A segmenter on the start's backbone; head and unloaded weights depend on the seed alone.

    Raises:
        SelfscanError: The store has no labels, or the checkpoint's weights do not fit.
        ValueError: The backbone cannot segment.
    """
    if len(label_names) < 2:
        raise SelfscanError(
            f"found label names {label_names}; expected the background and one class at least; "
            "prepare the store with labels"
        )
    network = start.build(seed=seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "head"))
        segmenter = Segmenter(network, label_names=label_names, window_hu=start.window_hu)
    if start.checkpoint is None:
        return segmenter, None
    part = part_to_load(start, load)
    return segmenter, load_weights(segmenter, start.checkpoint.weights, part=part)


def part_to_load(start: Start, load: Load) -> Part:
    """What of the backbone a checkpoint gives: what was asked for, as far as it has it."""
    return start.part if load == "all" else "encoder"


def segmentation_checkpoint(
    segmenter: Segmenter, start: Start, train: Store, step: int
) -> Checkpoint:
    """The model as it is after so many steps, with what `predict` must know."""
    origin = start.checkpoint
    return Checkpoint(
        weights=dict(segmenter.state_dict()),
        backbone=start.backbone,
        in_channels=start.in_channels,
        task="segmentation",
        contract=train.contract,
        window_hu=start.window_hu,
        crop_size=start.crop_size,
        method=origin.method if origin else None,
        label_names=segmenter.label_names,
        store_digest=train.digest(),
        scans=len(train),
        steps=step,
        license_note=origin.license_note if origin else "",
        origin=origin.origin if origin else "",
    )


def split_parameters(
    segmenter: Segmenter, start: Start, load: Load
) -> tuple[tuple[nn.Parameter, ...], tuple[nn.Parameter, ...]]:
    """The parameters that the checkpoint gave, none from scratch, and those that began random."""
    backbone = segmenter.backbone
    encoder_only = part_to_load(start, load) == "encoder"
    given = backbone.encoder_parameters() if encoder_only else list(backbone.parameters())
    loaded = tuple(given) if start.checkpoint else ()
    chosen = {id(parameter) for parameter in loaded}
    return loaded, tuple(p for p in segmenter.parameters() if id(p) not in chosen)
