"""What the report says of how a comparison was done, in words and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import PurePath
from statistics import median
from typing import Any

from selfscan.evaluation.cells import duration
from selfscan.evaluation.evidence import Evidence, PreTraining
from selfscan.evaluation.measures import measure_of
from selfscan.evaluation.resampling import RESAMPLES
from selfscan.evaluation.statistics import SCRATCH


def header_facts(evidence: Evidence) -> dict[str, Any]:
    """What the page's header and notes mention."""
    plan, outcome, cases = evidence.plan, evidence.outcome, evidence.cases
    names = outcome["label_names"].items()
    if plan.get("classes"):
        told = [name for _, name in names]
    else:
        told = [name for value, name in names if value != "0"]
    return {
        "store": PurePath(plan["store"]).name,
        "test_cases": len(plan["test"]),
        "told_apart": _some(told, "classes" if plan.get("classes") else "structures"),
        "classes": len(told) if plan.get("classes") else 0,
        "averaging": (
            f"here it is the mean over {len(told)} structures, then over test cases and runs."
            if len(told) > 1
            else "here it is the mean over test cases and runs."
        ),
        "date": day_of(outcome["date"]),
        "seeds": plan["seeds"],
        "tolerance_mm": f"{plan['tolerance_mm']:g}",
        "versions": outcome["versions"],
        "resamples": f"{RESAMPLES:,}",
        "pictured_arm": next((a["name"] for a in outcome["arms"] if a["checkpoint"]), SCRATCH),
        "pictured_labels": int(cases["labels"].max()),
        "pictured_seed": plan["seeds"][0],
    }


def how_it_was_done(evidence: Evidence) -> list[tuple[str, str]]:
    """Names and values of the closing list: enough to do it again."""
    plan, outcome = evidence.plan, evidence.outcome
    recipe, backbone = plan["recipe"], plan["backbone"]
    arguments = ", ".join(f"{name} {value}" for name, value in backbone["init_args"].items())
    network = backbone["class_path"].rpartition(".")[2].removesuffix("Config")
    probed = {arm.arm for arm in evidence.pretraining if arm.probed}
    facts = [
        ("Arms", "; ".join(_arm(arm, probed=arm["name"] in probed) for arm in outcome["arms"])),
        ("Network", f"{network} ({arguments}), the same in every arm"),
        *_classes(plan, outcome),
        ("Labelled cases", _subsets(plan["subsets"])),
        (
            "Runs",
            f"seeds {_joined(plan['seeds'])}; a seed fixes the head's random weights, the "
            "order of crops and the augmentation, equally in all arms",
        ),
        (
            "Fine-tuning",
            f"{recipe['steps']} steps of {recipe['batch_size'] * recipe['accumulate']} "
            f"{_scans_of(recipe)}crops of {size_text(recipe['crop_size'])} voxels, "
            f"{recipe['optimizer']['algorithm']}, {recipe['optimizer']['schedule']} schedule, "
            f"{recipe['optimizer']['warmup_steps']} warm-up steps",
        ),
        ("Learning rates", _rates(evidence)),
        *_probes(plan),
        ("Model tested", _selection(plan)),
        ("Test cases", f"{len(plan['test'])}: {_joined(plan['test'])}"),
        (
            "Store",
            f"{PurePath(plan['store']).name}, digest {plan['store_digest'][:16]}; "
            f"{_contract(outcome['contract'])}",
        ),
    ]
    for arm in outcome["arms"]:
        if arm["checkpoint"] and arm["license_note"]:
            facts.append((f"License of {arm['name']}", arm["license_note"]))
    versions = ", ".join(f"{name} {number}" for name, number in outcome["versions"].items())
    return [
        *facts,
        ("Command", outcome["command"]),
        ("Versions", versions),
        *_run_times(outcome["cells"]),
        ("Done", f"{outcome['date']}, in {outcome['seconds'] / 60:.0f} minutes"),
    ]


def load_counts(arm: PreTraining) -> dict[str, Any]:
    """The load report of an arm: counts, and what was not taken as it is."""
    load = arm.load
    lines = [f"adapted  {name}: {why}" for name, why in load["adapted"].items()]
    lines += [f"skipped  {name}: {why}" for name, why in load["skipped"].items()]
    lines += [f"random   {name}" for name in load["missing"]]
    counts = {fate: len(load[fate]) for fate in ("loaded", "adapted", "skipped", "missing")}
    return {"arm": arm.arm, "share": load["share"], "details": "\n".join(lines)} | counts


def _arm(arm: dict[str, Any], *, probed: bool) -> str:
    if not arm["checkpoint"]:
        extra = arm["extra_steps"]
        return f"{arm['name']}: random weights" + (f", {extra:,} steps more" if extra else "")
    method = arm["method"] or "an unknown method"
    source = f" ({arm['source']})" if arm["source"] else ""
    best = PurePath(arm["checkpoint"]).name == "best.safetensors"
    chosen = ", the best checkpoint chosen by a probe on labelled scans"
    return (
        f"{arm['name']}: {method}{source}, {arm['steps']:,} steps on {arm['scans']} scans, "
        "without labels" + (chosen if probed and best else "")
    )


def _classes(plan: dict[str, Any], outcome: dict[str, Any]) -> list[tuple[str, str]]:
    """Which table has the classes of scans, where scans are classified."""
    if not plan.get("classes"):
        return []
    names, digest = _joined(outcome["label_names"].values()), plan["classes_digest"][:16]
    return [("Classes", f"{names}, of {PurePath(plan['classes']).name}, digest {digest}")]


def _probes(plan: dict[str, Any]) -> list[tuple[str, str]]:
    """How heads were fitted on frozen features, where they were."""
    heads = [name for name in plan["protocols"] if name != "finetune"]
    if not heads:
        return []
    if plan.get("classes"):
        recipe = plan["classifying"]
        said = (
            f"{_joined(heads)}: the mean features of {recipe['voxels']:,} voxels of each body, of "
            f"the {plan['part']}, standardized as those of the labelled cases are"
        )
        return [("Heads on frozen features", said)]
    probe = plan["probe"]
    said = (
        f"{_joined(heads)}: {probe['voxels_per_class']:,} voxels of each structure and "
        f"{probe['background_voxels']:,} of the background a labelled case, features of the "
        f"{plan['part']}; the share of the class prior chosen on the validation cases"
    )
    return [("Probes", said)]


def _scans_of(recipe: dict[str, Any]) -> str:
    count = recipe.get("crops_per_scan", 1)
    return f"scans with {count} " if count > 1 else ""


def _run_times(cells: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """The median time of a cell, an arm and protocol; older comparisons know none."""
    taken: dict[tuple[str, str], list[float]] = {}
    for cell in cells:
        if cell.get("seconds") is not None:
            taken.setdefault((cell["protocol"], cell["arm"]), []).append(cell["seconds"])
    if not taken:
        return []
    said: dict[str, list[str]] = {}
    for (protocol, arm), seconds in taken.items():
        said.setdefault(protocol, []).append(f"{arm} {duration(median(seconds))}")
    named = "; ".join(f"{protocol}: {_joined(arms)}" for protocol, arms in said.items())
    return [("Time of a run", f"{named} (medians; training and scoring)")]


def _rates(evidence: Evidence) -> str:
    arms, trials = evidence.outcome["arms"], evidence.outcome["trials"]
    measure = measure_of(evidence.plan.get("classes"))
    chosen = ", ".join(f"{arm['name']} {arm['learning_rate']:g}" for arm in arms)
    if not trials:
        return f"{arms[0]['learning_rate']:g} for every arm, as given; not tuned for any of them"
    tried = "; ".join(
        f"{arm['name']} "
        + ", ".join(
            f"{trial['learning_rate']:g}: {trial[measure.key]:.3f}"
            for trial in trials
            if trial["arm"] == arm["name"]
        )
        for arm in arms
    )
    rates = sorted({trial["learning_rate"] for trial in trials})
    at_the_edge = [a["name"] for a in arms if a["learning_rate"] in (rates[0], rates[-1])]
    edge = (
        f" The choice of {_joined(at_the_edge)} lies at the edge of the grid."
        if len(rates) > 1 and at_the_edge
        else ""
    )
    middle = sorted(int(count) for count in evidence.plan["subsets"])
    labels = middle[(len(middle) - 1) // 2]
    return (
        f"{chosen}; chosen for each arm by the {measure.name} of the validation cases at {labels} "
        f"labelled cases and seed {evidence.plan['seeds'][0]} (tried, {tried}).{edge}"
    )


def _selection(plan: dict[str, Any]) -> str:
    every = plan["recipe"]["validate_every"]
    if every and plan["validation_split"]:
        return f"the best on the split {plan['validation_split']}, looked at every {every} steps"
    return "the one after the last step"


def _contract(contract: dict[str, Any]) -> str:
    spacing = contract["spacing"]
    grid = f"{size_text(spacing)} mm" if spacing else "each scan’s own spacing"
    return f"axes {contract['orientation']}+, {grid}"


def _subsets(subsets: dict[str, list[str]]) -> str:
    """All ids once where smaller subsets begin the larger ones, else each subset by itself."""
    *smaller, largest = sorted(subsets.values(), key=len)
    if all(ids == largest[: len(ids)] for ids in smaller):
        first = _joined([len(ids) for ids in smaller])
        return _joined(largest) + (f"; the smaller subsets are the first {first}" if first else "")
    return "; ".join(f"{count}: {_joined(ids)}" for count, ids in subsets.items())


def size_text(values: Sequence[float]) -> str:
    """Lengths along the axes, such as `48 × 48 × 32`."""
    return " × ".join(f"{value:g}" for value in values)


def _joined(values: Sequence[Any]) -> str:
    return ", ".join(str(value) for value in values)


def _some(names: Sequence[str], what: str) -> str:
    """The names, or how many they are where they are many."""
    return (
        _joined(names)
        if len(names) <= 4
        else f"{len(names)} {what}{'es' if what == 'class' else 's'}"
    )


def day_of(moment: str) -> str:
    """A date as people write it, from ISO 8601."""
    date = datetime.fromisoformat(moment)
    return f"{date.day} {date:%B %Y}"
