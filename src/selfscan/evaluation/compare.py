"""The verb `compare`: pre-trained against from scratch on equal terms, and a report of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic

from selfscan.configuration import save_config
from selfscan.evaluation.cells import gather_scores, run_cells, score, tune
from selfscan.evaluation.guards import guard
from selfscan.evaluation.illustrate import save_embeddings, save_pictures
from selfscan.evaluation.outcome import best_rates, print_summary, save_outcome
from selfscan.evaluation.planning import announce, make_plan, settle
from selfscan.evaluation.report import write_report
from selfscan.files import claim_folder
from selfscan.networks.backbone import BackboneConfig
from selfscan.progress import console
from selfscan.scans.crew import stopped_by_signals
from selfscan.training.engine import EngineConfig
from selfscan.training.finetune import FinetuneRecipe


def compare(
    store: Path,
    out: Path,
    *,
    labels: Sequence[int],
    checkpoints: Sequence[Path] = (),
    seeds: Sequence[int] = (0, 1, 2),
    backbone: BackboneConfig | None = None,
    recipe: FinetuneRecipe | None = None,
    learning_rates: Sequence[float] = (),
    subsets: Path | None = None,
    train_split: str = "train",
    validation_split: str | None = "validation",
    test_split: str = "test",
    scratch: bool = True,
    tolerance_mm: float = 2.0,
    pretraining_stores: Sequence[Path] = (),
    allow_leaks: bool = False,
    workers: int = 1,
    scheduler: str | None = None,
    engine: EngineConfig | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> Path:
    """Fine-tune the same network from scratch and from checkpoints, and report the difference.

    Every arm sees the same labelled cases, the same crops in the same order under the same
    augmentation, for the same number of steps. What may differ is the learning rate, where several
    are given to choose from.

    Args:
        store: The store's folder; its label names say what is segmented.
        out: The folder of the comparison.
        labels: Numbers of labelled cases to fine-tune with.
        checkpoints: Pre-training runs or checkpoint files; one arm each.
        seeds: One run of each arm and number of labels for each seed; three or more tell the luck
            of a run from the effect.
        backbone: The network of all arms; by default that of the first checkpoint.
        recipe: How every arm is fine-tuned.
        learning_rates: Peak learning rates to choose from, for each arm by the validation cases at
            the middle number of labels and the first seed; by default the recipe's is taken.
        subsets: JSON of `{"4": [ids], ...}`, alone or under the key `train_few`; by default nested
            subsets of the training split.
        train_split: Where labelled cases come from.
        validation_split: Where the best step and the learning rate are chosen.
        test_split: Cases that are scored.
        scratch: Whether to train from random weights too.
        tolerance_mm: Distance up to which surfaces count as equal, for NSD.
        pretraining_stores: Stores that checkpoints were pre-trained on, for those that lie without
            the `seen.parquet` of their run, to look for test cases among them.
        allow_leaks: Go on where a pre-training saw test cases, and mark its arm as tainted.
        workers: Cells at a time on this machine, one thread each; 1 runs them one by one.
        scheduler: Address of a running Dask scheduler whose workers see the same folders.
        engine: Where each cell runs.
        resume: Go on with what `out` holds; arms, seeds and numbers of labels may be added.
        overwrite: Delete what `out` holds.

    Returns:
        The report, one HTML file.

    Raises:
        ValueError: An argument out of range; nothing was done.
        SelfscanError: Cases, labels or checkpoints are missing, a pre-training saw test cases, or
            `out` holds something else.
        ContractError: A checkpoint was trained on scans prepared in another way.
    """
    arguments = {**locals()}
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    recipe, engine = recipe or FinetuneRecipe(), engine or EngineConfig()
    plan = make_plan(
        Path(store).resolve(),
        labels=labels,
        checkpoints=[Path(path) for path in checkpoints],
        seeds=seeds,
        backbone=backbone,
        recipe=recipe,
        learning_rates=learning_rates,
        subsets=subsets,
        splits=(train_split, validation_split, test_split),
        scratch=scratch,
        tolerance_mm=tolerance_mm,
    )
    findings = guard(plan, stores=pretraining_stores, allow_leaks=allow_leaks)
    folder = claim_folder(Path(out), resume=resume, overwrite=overwrite)
    settle(plan, folder)
    findings.write(folder)
    save_config(folder, arguments | {"recipe": recipe, "engine": engine})
    announce(plan, folder)

    if workers > 1 or scheduler is not None:
        engine = replace(engine, threads=engine.threads or 1, workers=0)
    begun = monotonic()
    tuning = partial(tune, plan=plan, out=folder, engine=engine)
    scoring = partial(score, plan=plan, out=folder, engine=engine)
    with stopped_by_signals("finished cells are kept; give --resume to go on"):
        tried = run_cells(
            plan.trials(), tuning, title="trial", workers=workers, scheduler=scheduler
        )
        rates = best_rates(tried)
        cells = plan.cells(rates)
        run_cells(cells, scoring, title="cell", workers=workers, scheduler=scheduler)
        cases = gather_scores(cells, folder)
        save_pictures(cases, plan, rates, folder, engine)
        save_embeddings(plan, folder, engine)
    save_outcome(cases, plan, tried, rates, folder, seconds=monotonic() - begun)
    print_summary(cases, plan)
    report = write_report(folder)
    console.print(f"report: {report}", highlight=False, soft_wrap=True)
    return report
