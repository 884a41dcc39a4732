"""The verb `finetune`: train a segmentation model or a classifier, from a checkpoint or scratch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import nn

from selfscan.checkpoints.checkpoint import Checkpoint
from selfscan.checkpoints.loading import LoadReport, load_weights, tell_load_report, weights_of
from selfscan.networks.backbone import BackboneConfig, Part
from selfscan.scans.crops import Batch, CropDataset, batches
from selfscan.scans.store import Store
from selfscan.training.case_table import CaseTable
from selfscan.training.engine import EngineConfig
from selfscan.training.finetune_recipe import FinetuneRecipe, Load
from selfscan.training.intact import require_intact_on_each_node
from selfscan.training.loop import LoopConfig, fit
from selfscan.training.optimization import ParameterGroup
from selfscan.training.run_folder import open_run_folder
from selfscan.training.seeds import derive_seed
from selfscan.training.start import Start, starting_point
from selfscan.training.tasks import ClassificationTask, Model, SegmentationTask, Task

__all__ = ["FinetuneRecipe", "build_model", "finetune", "task_of"]

_RECIPE, _ENGINE = FinetuneRecipe(), EngineConfig()


def finetune(
    store: Path | str,
    out: Path | str,
    *,
    checkpoint: Path | None = None,
    backbone: BackboneConfig | None = None,
    classes: Path | None = None,
    cases: int | Sequence[str] | None = None,
    recipe: FinetuneRecipe = _RECIPE,
    train_split: str = "train",
    validation_split: str | None = "validation",
    engine: EngineConfig = _ENGINE,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
) -> Path:
    """Train a segmentation model, or a classifier of whole scans, on labelled scans of a split.

    With and without a checkpoint, a seed gives the same head, crops, augmentation and order, so
    that runs differ in the backbone's initial weights alone. `load_report.json` says what was
    loaded. The best checkpoint by validation Dice, or AUROC, is kept beside the last one; without
    validation scans, or validation scans of every class, there is the last one only.

    Args:
        store: A prepared store; with label maps, unless `classes` has the labels.
        out: The run folder.
        checkpoint: A run folder or checkpoint file to start from; None starts from scratch.
        backbone: The network, where there is no checkpoint.
        classes: A CSV file with the columns `case` (an id of the store) and `label` (any text): the
            model classifies scans by their encoder's maps, and no label map is read.
        cases: Labelled cases to learn from: all, the first so many in a fixed order, or these ids.
            Those of classes are taken in turn.
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
        Interrupted: SIGINT, SIGTERM or SIGUSR1 came; the state is saved.
        ValueError: Arguments that contradict each other, or a network that cannot segment.
    """
    arguments = dict(locals())
    out, scans, task = Path(out), Store(store), task_of(classes)
    task.check(recipe)
    start = starting_point(
        scans,
        checkpoint=checkpoint,
        backbone=backbone,
        crop_size=recipe.crop_size,
        window_hu=recipe.window_hu,
    )
    train = task.cases(scans, train_split, cases)
    validation = task.validation(scans, validation_split)
    model, report = build_model(start, scans, task, load=recipe.load, seed=seed)

    fabric = engine.fabric()
    open_run_folder(out, arguments, fabric=fabric, resume=resume, overwrite=overwrite)
    require_intact_on_each_node(engine, fabric, train, *([validation] if validation else []))
    if fabric.is_global_zero:
        tell_load_report(report, out)
    loaded, random = split_parameters(model, start, task, recipe.load)
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
        task.crops(start.crop_size, recipe),
        seed=derive_seed(seed, "crops"),
        length=count * recipe.batch_size * fabric.world_size,
        with_labels=task.with_labels,
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
        return task.validate(
            model, validation, crop_size=start.crop_size, overlap=recipe.overlap, fabric=fabric
        )

    def export(step: int) -> Checkpoint:
        return trained_checkpoint(model, start, train, task, step)

    fit(
        task.trainable(
            model, dataset, recipe, frozen=loaded, seed=derive_seed(seed, "augmentation")
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
        select=task.select,
        maximize=True,
        quality=task.quality,
        export=export,
        seed=seed,
        resume=resume,
        title="finetune",
    )
    return out


def task_of(classes: Path | None) -> Task:
    """To classify whole scans, where a table of their classes is given; else to segment.

    Raises:
        ScanError: The table is unusable.
    """
    return SegmentationTask() if classes is None else ClassificationTask(CaseTable.read(classes))


def build_model(
    start: Start, store: Store, task: Task, *, load: Load, seed: int
) -> tuple[Model, LoadReport | None]:
    """A model on the start's backbone; head and unloaded weights depend on the seed alone.

    Raises:
        SelfscanError: There is nothing to tell apart, or the checkpoint's weights do not fit.
        ValueError: The backbone cannot segment.
    """
    names = task.label_names(store)
    network = start.build(seed=seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "head"))
        model = task.model(network, names, window_hu=start.window_hu)
    if start.checkpoint is None:
        return model, None
    part = part_to_load(start, task, load)
    return model, load_weights(model, start.checkpoint.weights, part=part)


def part_to_load(start: Start, task: Task, load: Load) -> Part:
    """What of the backbone a checkpoint gives: what is asked for, wanted and there."""
    return "encoder" if "encoder" in (load, start.part, task.part) else "backbone"


def trained_checkpoint(
    model: Model, start: Start, train: Store, task: Task, step: int
) -> Checkpoint:
    """The model as it is after so many steps, with what `predict` must know."""
    origin = start.checkpoint
    return Checkpoint(
        weights=weights_of(model, task.part),
        backbone=start.backbone,
        in_channels=start.in_channels,
        task=task.name,
        contract=train.contract,
        window_hu=start.window_hu,
        crop_size=start.crop_size,
        part=task.part,
        method=origin.method if origin else None,
        label_names=model.label_names,
        store_digest=train.digest(),
        scans=len(train),
        steps=step,
        license_note=origin.license_note if origin else "",
        origin=origin.origin if origin else "",
    )


def split_parameters(
    model: Model, start: Start, task: Task, load: Load
) -> tuple[tuple[nn.Parameter, ...], tuple[nn.Parameter, ...]]:
    """The parameters that the checkpoint gave, none from scratch, and those that began random."""
    backbone = model.backbone
    encoder_only = part_to_load(start, task, load) == "encoder"
    given = backbone.encoder_parameters() if encoder_only else list(backbone.parameters())
    loaded = tuple(given) if start.checkpoint else ()
    chosen = {id(parameter) for parameter in loaded}
    trained = (p for p in model.parameters() if p.requires_grad)
    return loaded, tuple(p for p in trained if id(p) not in chosen)
