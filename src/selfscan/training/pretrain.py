"""`selfscan pretrain`: a backbone learns from unlabeled scans by one of the published methods."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from selfscan.checkpoints.checkpoint import Checkpoint, load
from selfscan.checkpoints.loading import load_weights, tell_load_report, weights_of
from selfscan.errors import SelfscanError
from selfscan.methods import method_config
from selfscan.methods.method import Method, MethodConfig
from selfscan.methods.words import WordClassification, license_note
from selfscan.networks.backbone import BackboneConfig
from selfscan.progress import console
from selfscan.scans.crops import CropPolicy
from selfscan.scans.store import Store
from selfscan.training.crop_streams import CropStreams
from selfscan.training.engine import EngineConfig
from selfscan.training.frozen import FrozenBackbone
from selfscan.training.held_out import hold_out, pretraining_scans
from selfscan.training.intact import require_intact_on_each_node
from selfscan.training.loop import fit
from selfscan.training.online_probe import OnlineProbe, ProbeValidation
from selfscan.training.optimization import ParameterGroup
from selfscan.training.padding import padded_share
from selfscan.training.pretext import PretextTask, PretextValidation
from selfscan.training.pretrain_recipe import PretrainRecipe
from selfscan.training.run_folder import open_run_folder
from selfscan.training.seeds import derive_seed
from selfscan.training.seen_scans import note_seen
from selfscan.training.visual_words import HEAD, head_weights, keep_head, words_for

__all__ = ["PretrainRecipe", "pretrain"]

_RECIPE, _ENGINE = PretrainRecipe(), EngineConfig()


def pretrain(
    store: Path | str,
    out: Path | str,
    *,
    method: MethodConfig | str = "models-genesis",
    backbone: BackboneConfig | None = None,
    recipe: PretrainRecipe = _RECIPE,
    words: Path | None = None,
    word_weight: float | None = None,
    probe: OnlineProbe | None = None,
    engine: EngineConfig = _ENGINE,
    seed: int = 0,
    splits: Sequence[str] | None = None,
    init: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> Path:
    """Pre-train a backbone on the scans of a store, without labels.

    The best checkpoint is that of the lowest validation loss. Where a few labelled cases are given
    to `probe`, it is that of the highest probe Dice, and that is the quality shown; labels choose
    among checkpoints then, and never reach the training itself.

    Args:
        store: A folder that `prepare` wrote.
        out: The run folder: `best.safetensors`, `last.safetensors`, `config.yaml`, `metrics.csv`,
            `examples.npz` (what the method shows of the first held-out examples), `seen.parquet`
            (digests of the scans it saw, by which `compare` finds leaked test cases), `log.txt`,
            `tensorboard/` and `state.ckpt`, from which the run is resumed.
        method: A published method, by its configuration or by its name.
        backbone: The network; by default that of `init`, or the one published with the method.
        recipe: How long, on what, and how often it is looked at.
        words: Visual words of `discover`: examples lie at them, and a head beside the method learns
            to name them from the encoder's coarsest map. Scans without words are left out, and the
            words' own validation scans are held out.
        word_weight: Of naming the words, 0.01 where none is given; 0 leaves them as mere places.
        probe: Labelled scans on which each validation probes the frozen features; None reads no
            label.
        engine: Devices, processes and precision.
        seed: Of everything that is drawn: weights, held-out patients, crops, views.
        splits: Splits to pre-train on; by default all scans but those of patients in the splits
            `validation` and `test`.
        init: A checkpoint to go on from; heads are kept where they fit, and `load_report.json`
            says what was loaded.
        resume: Go on with the unfinished run in `out`; it ends in the same weights, to the bit, as
            a run that was never stopped.
        overwrite: Delete what `out` holds.

    Returns:
        The run folder.

    Raises:
        SelfscanError: The store, the folder, the checkpoint or the words cannot be used.
        ValueError: The parts do not fit together.
        Interrupted: SIGINT, SIGTERM or SIGUSR1 came; the state is saved.
    """
    out, source = Path(out), Store(store)
    chosen = method_config(method) if isinstance(method, str) else method
    visual = words_for(chosen, words, word_weight)
    begun = load(init) if init is not None else None
    if begun is not None:
        begun.contract.require(source.contract)
    network = backbone or (begun.backbone if begun is not None else chosen.default_backbone)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "weights"))
        model = chosen.build(network.build(source.channels))
    allowed, policy, naming = pretraining_scans(source, splits), model.crops, None
    if visual is None:
        scans, held = hold_out(
            allowed,
            share=recipe.validation_share,
            seed=derive_seed(seed, "validation patients"),
            at_least=model.patients,
        )
    else:
        policy = visual.crops(policy)
        scans, held = visual.sides(allowed)
        naming = visual.objective(model.backbone, seed=derive_seed(seed, "word head"))
    trained = _trained_parameters(model, naming)
    probing = (
        None
        if probe is None
        else ProbeValidation(probe, source, seed=derive_seed(seed, "probe voxels"))
    )
    report = None
    digest = "" if visual is None else visual.digest
    if begun is not None:
        weights = begun.weights
        if naming is not None and begun.words_digest == digest:
            keep_head(naming, weights)
            weights = {n: weight for n, weight in weights.items() if not n.startswith(HEAD)}
        report = load_weights(model, weights, part=begun.part, keep_heads=True)

    fabric = engine.fabric()
    open_run_folder(
        out,
        {
            "store": source.path,
            "out": out,
            "method": chosen,
            "backbone": network,
            "recipe": recipe,
            "words": words,
            "word_weight": word_weight,
            "probe": probe,
            "engine": engine,
            "seed": seed,
            "splits": splits,
            "init": init,
        },
        fabric=fabric,
        resume=resume,
        overwrite=overwrite,
    )
    _require_same_data(out, scans, digest)
    watched = () if probing is None else probing.scans
    require_intact_on_each_node(engine, fabric, scans, held, *watched)
    if fabric.is_global_zero:
        note_seen(out, scans, held, init=init)
        _warn_of_padding(scans, policy, seed=seed)
        if report is not None:
            tell_load_report(report, out)

    streams = CropStreams(
        scans,
        held,
        policy,
        batch_size=chosen.batch_size,
        steps=recipe.steps,
        accumulate=recipe.accumulate,
        seed=seed,
        workers=engine.workers,
        fabric=fabric,
    )

    notes = [license_note(chosen, has_words=visual is not None)]
    if begun is not None and begun.license_note:
        notes.append(begun.license_note)

    def export(step: int) -> Checkpoint:
        return Checkpoint(
            weights=weights_of(model, model.part) | head_weights(naming),
            backbone=network,
            in_channels=source.channels,
            task="pretraining",
            contract=source.contract,
            window_hu=chosen.window_hu,
            crop_size=chosen.input_size,
            part=model.part,
            method=chosen,
            store_digest=scans.digest(),
            words_digest=digest,
            scans=len(scans),
            steps=step + (begun.steps if begun is not None else 0),
            license_note=" ".join(dict.fromkeys(notes)),
            origin="" if begun is None else begun.origin,
        )

    task = PretextTask(model, seed=derive_seed(seed, "views"), words=naming)
    pretext = PretextValidation(
        task,
        streams.validation(recipe.validation_examples),
        seed=derive_seed(seed, "validation views"),
        picture=out / "examples.npz" if fabric.is_global_zero else None,
    )

    def validate() -> dict[str, float]:
        if probe is None or probing is None:
            return pretext()
        frozen = FrozenBackbone(
            model.backbone,
            chosen.window_hu,
            chosen.input_size,
            probe.overlap,
            fabric,
            model.part,
        )
        return {**pretext(), **probing(frozen)}

    quality = "validation loss" if probe is None else "probe Dice"
    ended = fit(
        task,
        streams.training,
        parameters=[ParameterGroup(trained)],
        optimizer=chosen.optimizer,
        config=recipe.loop(),
        fabric=fabric,
        folder=out,
        validate=validate,
        select="loss" if probe is None else "probe_dice",
        maximize=probe is not None,
        quality=quality,
        export=export,
        seed=seed,
        resume=resume,
        title="pretrain",
        alarms=model.alarms,
    )
    if fabric.is_global_zero:
        console.print(
            f"{out}: {ended.steps} steps on {len(scans)} scans; best {quality} "
            f"{ended.best_value:.4g} after step {ended.best_step}",
            soft_wrap=True,
            highlight=False,
        )
    return out


def _trained_parameters(
    model: Method, naming: WordClassification | None
) -> tuple[nn.Parameter, ...]:
    """The parameters that the run trains; of others no gradient is expected from now on."""
    encoder = {id(parameter) for parameter in model.backbone.encoder_parameters()}
    if model.part == "encoder":
        for parameter in model.backbone.parameters():
            parameter.requires_grad_(id(parameter) in encoder)
    own = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return (*own, *(() if naming is None else naming.parameters()))


def _require_same_data(out: Path, scans: Store, words_digest: str) -> None:
    if not (out / "last.safetensors").exists():
        return
    before = load(out / "last.safetensors")
    for found, expected in (
        (f"{before.scans} other scans", before.store_digest == scans.digest()),
        ("other visual words", before.words_digest == words_digest),
    ):
        if not expected:
            raise SelfscanError(
                f"{out}: found a run on {found}; expected the {len(scans)} scans of {scans.path} "
                f"and the same words to --resume it; start a new run with --init {out}"
            )


def _warn_of_padding(scans: Store, policy: CropPolicy, *, seed: int) -> None:
    share = padded_share(scans, policy, seed=derive_seed(seed, "padding"))
    if share > 0.5:
        console.print(
            f"warning: {share:.0%} of a crop lies outside its scan on average; choose a smaller "
            "crop size, or prepare the scans at a finer spacing",
            style="yellow",
            soft_wrap=True,
        )
