"""The verb `compare`: pre-trained against from scratch on equal terms, and a report of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic

from selfscan.configuration import save_config
from selfscan.evaluation.budget import (
    fit_budget,
    measure,
    parse_duration,
    print_costs,
    tell_left_out,
)
from selfscan.evaluation.cells import gather_scores, run_cells, score, tune
from selfscan.evaluation.classify_recipe import ClassifyRecipe
from selfscan.evaluation.guards import guard
from selfscan.evaluation.illustrate import save_embeddings, save_organ_errors, save_pictures
from selfscan.evaluation.outcome import print_summary, save_outcome
from selfscan.evaluation.plan import Plan, Protocol
from selfscan.evaluation.planning import announce, make_plan, settle
from selfscan.evaluation.rates import best_rates
from selfscan.evaluation.report import write_report
from selfscan.files import claim_folder, require_writable
from selfscan.networks.backbone import BackboneConfig
from selfscan.progress import console
from selfscan.scans.crew import stopped_by_signals
from selfscan.scans.integrity import require_intact
from selfscan.scans.store import Store
from selfscan.training.engine import EngineConfig
from selfscan.training.finetune import FinetuneRecipe
from selfscan.training.probe import ProbeRecipe


def compare(
    store: Path,
    out: Path,
    *,
    labels: Sequence[int],
    checkpoints: Sequence[Path] = (),
    seeds: Sequence[int] = (0, 1, 2),
    backbone: BackboneConfig | None = None,
    classes: Path | None = None,
    protocols: Sequence[Protocol] = ("finetune",),
    recipe: FinetuneRecipe | None = None,
    probing: ProbeRecipe | None = None,
    classifying: ClassifyRecipe | None = None,
    learning_rates: Sequence[float] | None = None,
    subsets: Path | None = None,
    train_split: str = "train",
    validation_split: str | None = "validation",
    test_split: str = "test",
    scratch: bool = True,
    long: bool = False,
    tolerance_mm: float = 2.0,
    pretraining_stores: Sequence[Path] = (),
    allow_leaks: bool = False,
    plan: bool = False,
    budget: str | None = None,
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
        classes: A CSV file with the columns `case` (an id of the store) and `label` (any text):
            whole scans are classified, and arms compared by AUROC; of more than two classes it is
            the mean of each against the rest. The store needs no label maps.
        protocols: What is done with each network: `finetune` it, or fit a `linear` or `nonlinear`
            head on its frozen features, as `probe` does, against those of random weights; with
            `classes` on features pooled over each scan, as `classify` does, and `knn` too.
        recipe: How every arm is fine-tuned.
        probing: How heads are fitted; crop size, window and tolerance are those of the comparison.
        classifying: How scans are embedded and heads fitted to them, with `classes`.
        learning_rates: Peak learning rates to choose from, for each arm by the validation cases at
            the middle number of labels and the first seed. By default 3e-4, 1e-3 and 3e-3; but the
            recipe's alone where it was changed, or where no labelled scan is in the validation
            split. An empty list takes the recipe's.
        subsets: JSON of `{"4": [ids], ...}`, alone or under the key `train_few`; by default nested
            subsets of the training split.
        train_split: Where labelled cases come from.
        validation_split: Where the best step and the learning rate are chosen.
        test_split: Cases that are scored.
        scratch: Whether to train from random weights too, and to probe them.
        long: Whether to train from random weights for longer too: by as many steps as see the
            voxels that the longest pre-training saw, at the learning rate of `scratch`.
        tolerance_mm: Distance up to which surfaces count as equal, for NSD.
        pretraining_stores: Stores that checkpoints were pre-trained on, for those that lie without
            the `seen.parquet` of their run, to look for test cases among them.
        allow_leaks: Go on where a pre-training saw test cases, and mark its arm as tainted.
        plan: Only measure a few steps, and print the cells, steps, time and disk that are to come.
        budget: A time such as `2h`: a few steps are measured, and what would take longer is left
            out and told, more seeds than three first.
        workers: Cells at a time on this machine, one thread each; 1 runs them one by one.
        scheduler: Address of a running Dask scheduler whose workers see the same folders.
        engine: Where each cell runs.
        resume: Go on with what `out` holds; arms, seeds and numbers of labels may be added.
        overwrite: Delete what `out` holds.

    Returns:
        The report, one HTML file; where only a plan was asked for, its folder, untouched.

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
    seconds = None if budget is None else parse_duration(budget)
    planned = make_plan(
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
        protocols=protocols,
        probing=probing,
        long=long,
        classes=None if classes is None else Path(classes).resolve(),
        classifying=classifying,
    )
    if not plan:
        require_writable(Path(out))
    if engine.check_files:  # here, once for all cells
        require_intact(_scans_of(planned))
    findings = guard(planned, stores=pretraining_stores, allow_leaks=allow_leaks)
    if workers > 1 or scheduler is not None:
        engine = replace(engine, threads=engine.threads or 1, workers=0)
    if plan or seconds is not None:
        costs = measure(planned, engine)
        if seconds is not None:
            planned, left_out = fit_budget(
                planned, costs, Path(out), seconds=seconds, workers=workers
            )
            tell_left_out(left_out, str(budget))
        print_costs(planned, costs, Path(out), workers=workers)
    if plan:
        return Path(out)
    folder = claim_folder(Path(out), resume=resume, overwrite=overwrite)
    settle(planned, folder)
    findings.write(folder)
    save_config(
        folder,
        arguments
        | {
            "recipe": recipe,
            "probing": planned.probe,
            "classifying": planned.classifying,
            "engine": engine,
        },
    )
    announce(planned, folder)

    begun = monotonic()
    score_name = planned.measure.name
    checked = replace(engine, check_files=False)
    tuning = partial(tune, plan=planned, out=folder, engine=checked)
    scoring = partial(score, plan=planned, out=folder, engine=checked)
    with stopped_by_signals("finished cells are kept; give --resume to go on"):
        tried = run_cells(
            planned.trials(),
            tuning,
            title="trial",
            score=score_name,
            workers=workers,
            scheduler=scheduler,
        )
        rates = best_rates(tried)
        cells = planned.cells(rates)
        run_cells(
            cells,
            scoring,
            title="cell",
            score=score_name,
            workers=workers,
            scheduler=scheduler,
        )
        cases = gather_scores(cells, folder)
        save_embeddings(planned, folder, engine)
        if classes is None:
            if "finetune" in planned.protocols:
                tuned = cases[cases["protocol"] == "finetune"]
                save_pictures(tuned, planned, rates, folder, engine)
            save_organ_errors(planned, folder, engine)
    save_outcome(cases, planned, tried, rates, folder, seconds=monotonic() - begun)
    print_summary(cases, planned.measure)
    report = write_report(folder)
    console.print(f"report: {report}", highlight=False, soft_wrap=True)
    return report


def _scans_of(plan: Plan) -> Store:
    """The scans that the cells learn from, choose by and are scored on."""
    store = Store(plan.store)
    wanted = {*plan.test, *(id for chosen in plan.subsets.values() for id in chosen)}
    if plan.validation_split is not None:
        wanted |= {record.id for record in store if record.split == plan.validation_split}
    return store.select(ids=[id for id in store.ids if id in wanted])
