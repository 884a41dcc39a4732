"""From arguments to a plan: what can be wrong with a comparison is found before work starts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

from selfscan.checkpoints.checkpoint import resolve
from selfscan.configuration import as_plain, changes
from selfscan.errors import SelfscanError
from selfscan.evaluation.cells import SCORES
from selfscan.evaluation.classify_recipe import ClassifyRecipe
from selfscan.evaluation.longer import extra_steps
from selfscan.evaluation.plan import Arm, Plan, Protocol
from selfscan.evaluation.rates import usual_rates
from selfscan.evaluation.statistics import LONG, NOT_PRETRAINED, SCRATCH
from selfscan.files import written_atomically
from selfscan.networks.backbone import BackboneConfig
from selfscan.progress import console
from selfscan.scans.store import Store
from selfscan.training.finetune import FinetuneRecipe, build_model, task_of
from selfscan.training.probe import ProbeRecipe
from selfscan.training.start import Start, starting_point
from selfscan.training.tasks import Task

PROTOCOLS = get_args(Protocol)

# What a resumed comparison may add to; anything else would mix scores that do not compare.
_MAY_GROW = ("arms", "subsets", "seeds", "learning_rates", "protocols")


def make_plan(
    store: Path,
    *,
    labels: Sequence[int],
    checkpoints: Sequence[Path],
    seeds: Sequence[int],
    backbone: BackboneConfig | None,
    recipe: FinetuneRecipe,
    learning_rates: Sequence[float] | None,
    subsets: Path | None,
    splits: tuple[str, str | None, str],
    scratch: bool,
    tolerance_mm: float,
    protocols: Sequence[Protocol] = ("finetune",),
    probing: ProbeRecipe | None = None,
    long: bool = False,
    classes: Path | None = None,
    classifying: ClassifyRecipe | None = None,
) -> Plan:
    """Settle every choice, and check that each arm can be fine-tuned on the store.

    Args:
        store: The store's folder.
        labels: Numbers of labelled cases.
        checkpoints: One arm each.
        seeds: One run each.
        backbone: The network of all arms; None takes that of the first checkpoint.
        recipe: How every arm is fine-tuned.
        learning_rates: To choose from; empty takes the recipe's, None the usual grid where there
            is something to choose by and the recipe has no rate of its own.
        subsets: A file of labelled subsets; None takes nested ones.
        splits: Names of the training, the validation and the test split.
        scratch: Whether there is an arm from random weights.
        tolerance_mm: For NSD.
        protocols: What is done with each network.
        probing: How heads are fitted on frozen features.
        long: Whether there is an arm from random weights with the steps of pre-training added.
        classes: The table of the classes of scans; None where voxels are labelled.
        classifying: How scans are embedded, and heads fitted to them.

    Raises:
        ValueError: An argument out of range, or a network that does not suit.
        SelfscanError: Cases, labels or checkpoints are missing.
        ContractError: A checkpoint was trained on scans prepared in another way.
    """
    _check_numbers(labels, seeds, learning_rates or (), tolerance_mm)
    if not protocols or len(set(protocols)) < len(protocols) or set(protocols) - set(PROTOCOLS):
        raise ValueError(
            f"protocols must be different ones of {', '.join(PROTOCOLS)}, got {list(protocols)}"
        )
    if classes is None and "knn" in protocols:
        raise ValueError("protocols may have knn only where classes are given, got no table")
    scans, (train, validation, test), task = Store(store), splits, task_of(classes)
    task.check(recipe)
    can_choose = task.can_choose(scans, validation)
    if learning_rates is None:
        learning_rates = usual_rates(recipe, protocols, can_choose=can_choose)
    if learning_rates and not can_choose:
        raise SelfscanError(
            f"{store}: found no labelled scan in the split {validation!r}"
            f"{'' if classes is None else ', or not of every class'}; expected some to choose "
            "a learning rate by; give one learning rate in the recipe instead"
        )
    arms = name_arms(checkpoints, scratch=scratch)
    starts = [_start(scans, arm, backbone, recipe) for arm in arms if arm.checkpoint]
    network = starts[0].backbone if starts else backbone
    if starts:
        recipe = replace(recipe, crop_size=recipe.crop_size or starts[0].crop_size)
    if long:
        arms = (*arms, Arm(LONG, extra_steps=extra_steps(starts, recipe, scans)))
    starts = [_start(scans, arm, network, recipe) for arm in arms]
    for start in starts:
        build_model(start, scans, task, load=recipe.load, seed=0)
    return Plan(
        store=store,
        store_digest=scans.digest(),
        arms=arms,
        backbone=starts[0].backbone,
        window_hu=next((s for s in reversed(starts) if s.checkpoint), starts[-1]).window_hu,
        subsets=choose_subsets(scans, labels, task=task, train_split=train, file=subsets),
        seeds=tuple(seeds),
        recipe=recipe,
        learning_rates=tuple(learning_rates),
        train_split=train,
        validation_split=validation,
        test=task.cases(scans, test, None).ids,
        tolerance_mm=tolerance_mm,
        protocols=tuple(protocols),
        probe=probing or ProbeRecipe(),
        part="encoder" if any(start.part == "encoder" for start in starts) else "backbone",
        test_split=test,
        classes=classes,
        classes_digest="" if classes is None else sha256(classes.read_bytes()).hexdigest(),
        classifying=classifying or ClassifyRecipe(),
    )


def settle(plan: Plan, folder: Path) -> None:
    """Write `plan.json`; a comparison begun before must be of the same kind.

    Raises:
        SelfscanError: Something other than arms, seeds or numbers of labels has changed, or one of
            these means something else than before.
    """
    file = folder / "plan.json"
    now = as_plain(plan)
    if file.exists():
        before = json.loads(file.read_text())
        fixed = {key: getattr(plan, key) for key in now if key not in _MAY_GROW}
        earlier = {key: value for key, value in before.items() if key not in _MAY_GROW}
        differing = [
            f"{name} ({value} where it was {was})"
            for name, (was, value) in changes(earlier, fixed).items()
        ]
        differing += _changed_arms(before, now) + _changed_subsets(before, now)
        if differing:
            raise SelfscanError(
                f"{folder}: found a comparison with another {', '.join(differing)}; expected the "
                "same to go on; give --overwrite, or another folder"
            )
    with written_atomically(file) as temporary:
        temporary.write_text(json.dumps(now, indent=2) + "\n")


def announce(plan: Plan, folder: Path) -> None:
    """Print what will be done, before it is."""
    trials, cells = plan.trials(), plan.cells({})
    done = len(list(folder.glob(f"cells/**/{SCORES}")))
    chosen = f" and {len(trials)} trials of learning rates" if trials else ""
    console.print(
        f"compare: {len(plan.arms)} arms ({', '.join(arm.name for arm in plan.arms)}) x "
        f"{len(plan.subsets)} numbers of labels ({', '.join(map(str, plan.subsets))}) x "
        f"{len(plan.seeds)} seeds, {', '.join(plan.protocols)}: {len(cells)} cells{chosen}, "
        f"{plan.recipe.steps} steps of fine-tuning, "
        f"scored on {len(plan.test)} test cases" + (f"; {done} are done" if done else ""),
        highlight=False,
        soft_wrap=True,
        markup=False,
    )


def name_arms(checkpoints: Sequence[Path], *, scratch: bool) -> tuple[Arm, ...]:
    """The arms of these checkpoints, each named after its run folder or file.

    Raises:
        SelfscanError: There is no arm at all, or a checkpoint is missing.
    """
    arms = [Arm(SCRATCH)] if scratch else []
    for path in checkpoints:
        file = resolve(path)
        name = path.resolve().name if path.is_dir() else _name_of_file(file)
        names = [*NOT_PRETRAINED, *(arm.name for arm in arms[scratch:])]
        taken = sum(other == name or other.startswith(f"{name}-") for other in names)
        digest = sha256(file.read_bytes()).hexdigest()
        arms.append(Arm(f"{name}-{taken + 1}" if taken else name, file.resolve(), digest))
    if not arms:
        raise SelfscanError("nothing to compare: give --checkpoints, or --scratch true")
    return tuple(arms)


def choose_subsets(
    store: Store,
    labels: Sequence[int],
    *,
    task: Task,
    train_split: str,
    file: Path | None,
) -> dict[int, tuple[str, ...]]:
    """The labelled cases of each number of labels, nested unless the file says otherwise.

    Args:
        store: With the labelled cases in `train_split`.
        labels: Numbers of labelled cases.
        task: What they are labelled for.
        train_split: Where they come from.
        file: JSON of `{"4": [ids], ...}`, alone or under the key `train_few`.

    Raises:
        SelfscanError: The file lacks a number, or a case is not a labelled one of the split.
    """
    if file is None:
        return {n: task.cases(store, train_split, n).ids for n in sorted(labels)}
    given = json.loads(file.read_text())
    given = given.get("train_few", given)
    missing = [str(n) for n in labels if str(n) not in given]
    if missing:
        raise SelfscanError(
            f"{file}: found subsets of {', '.join(given)} cases; expected {', '.join(missing)} "
            "too; choose --labels among those found"
        )
    chosen = {n: tuple(given[str(n)]) for n in sorted(labels)}
    for n, ids in chosen.items():
        usable = set(ids) & set(task.cases(store, train_split, None).ids)
        if len(usable) != n:
            raise SelfscanError(
                f"{file}: found {len(usable)} labelled cases of the split {train_split!r} "
                f"under {n}; expected {n}"
            )
        task.cases(store, train_split, ids)
    return chosen


def _name_of_file(file: Path) -> str:
    """The run folder's name where the file is a run's own, else the file's."""
    return file.resolve().parent.name if file.stem in ("best", "last") else file.stem


def _start(
    scans: Store, arm: Arm, backbone: BackboneConfig | None, recipe: FinetuneRecipe
) -> Start:
    return starting_point(
        scans,
        checkpoint=arm.checkpoint,
        backbone=backbone,
        crop_size=recipe.crop_size,
        window_hu=recipe.window_hu,
    )


def _check_numbers(
    labels: Sequence[int],
    seeds: Sequence[int],
    learning_rates: Sequence[float],
    tolerance_mm: float,
) -> None:
    if not labels or min(labels) < 1 or len(set(labels)) < len(labels):
        raise ValueError(f"labels must be different numbers of at least 1, got {list(labels)}")
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be different numbers, at least one, got {list(seeds)}")
    if any(rate <= 0 for rate in learning_rates):
        raise ValueError(f"learning_rates must be positive, got {list(learning_rates)}")
    if tolerance_mm < 0:
        raise ValueError(f"tolerance_mm must not be negative, got {tolerance_mm}")


def _changed_arms(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    digests = {arm["name"]: arm["digest"] for arm in before["arms"]}
    return [
        f"checkpoint of {arm['name']}"
        for arm in now["arms"]
        if digests.get(arm["name"], arm["digest"]) != arm["digest"]
    ]


def _changed_subsets(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    earlier = before["subsets"]
    return [
        f"subset of {count} cases"
        for count, ids in now["subsets"].items()
        if earlier.get(str(count), ids) != ids
    ]
