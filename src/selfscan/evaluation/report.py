"""The report: one HTML file that opens offline, with what was found and how far to believe it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from selfscan.evaluation import figures, pictures
from selfscan.evaluation.embedding_picture import embedding_plot
from selfscan.evaluation.evidence import Evidence, PreTraining, gather
from selfscan.evaluation.facts import header_facts, how_it_was_done, load_counts
from selfscan.evaluation.guards import warnings
from selfscan.evaluation.labels_saved import labels_saved
from selfscan.evaluation.measures import (
    AUROC,
    DICE,
    Measure,
    measure_of,
    probability_columns,
)
from selfscan.evaluation.organ_search import PATCHES, PLACE
from selfscan.evaluation.outcome import PROTOCOL_NAMES, by_protocol
from selfscan.evaluation.page import PHOTO_DOTS, Plot, plot, render_page
from selfscan.evaluation.retrieval_scores import summarize_errors
from selfscan.evaluation.roc_figure import receiver_curves
from selfscan.evaluation.statistics import LONG, RANDOM, baseline_of, summarize
from selfscan.evaluation.verdict import cautions, verdicts
from selfscan.files import written_atomically

_PAIRED = " On the right the paired difference: above zero, pre-training scores higher."
_PROBED = (
    " Probe Dice is that of a linear classifier on the frozen features, fitted anew each time to a "
    "few labelled scans and scored on others."
)
_QUANTITIES = {
    "train/loss": "training loss",
    "validation/loss": "validation loss",
    "validation/dice": "validation Dice",
    "validation/auroc": "validation AUROC",
    "validation/probe_dice": "probe Dice",
}


_ABOVE = {
    "dice": "the case is segmented better",
    "auroc": "its class is believed more",
}
_WORST = 8  # cases that are named


def write_report(folder: Path) -> Path:
    """Write `report.html` from what a finished comparison left in its folder."""
    page = render(gather(folder))
    path = folder / "report.html"
    with written_atomically(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def render(evidence: Evidence) -> str:
    """The whole page."""
    return render_page("report.html.j2", _page(evidence))


def _page(evidence: Evidence) -> dict[str, Any]:
    plan = evidence.plan
    measure = measure_of(plan.get("classes"))
    parts = by_protocol(evidence.cases)
    blocks = [_block(protocol, part, measure) for protocol, part in parts.items()]
    main = parts[blocks[0]["protocol"]]
    counts = sorted(main["labels"].unique())
    notes = cautions(main, baseline=blocks[0]["baseline"], measure=measure)
    segments = measure is DICE
    return {
        "measure": measure,
        "segments": segments,
        "blocks": blocks,
        "tainted": evidence.findings.tainted,
        "cautions": warnings(evidence.findings) + notes,
        "structures": [_structures(main, n) for n in reversed(counts)] if segments else [],
        "mistaken": [] if segments else _mistaken(main),
        "colors": figures.arm_colors(list(evidence.cases["arm"].unique())),
        "plots": _plots(evidence),
        "pretraining": [_shown(arm, evidence) for arm in evidence.pretraining],
        "organs": _organs(evidence),
        "overlays": [_overlay(overlay, plan) for overlay in evidence.overlays],
        "loads": [load_counts(arm) for arm in evidence.pretraining],
        "facts": header_facts(evidence),
        "how": how_it_was_done(evidence),
        "settings": yaml.safe_dump(plan, sort_keys=False, allow_unicode=True),
    }


def _block(protocol: str, cases: pd.DataFrame, measure: Measure) -> dict[str, Any]:
    """What was found by one protocol."""
    arms = list(cases["arm"].unique())
    baseline = baseline_of(arms)
    summary = summarize(cases, baseline=baseline, measure=measure)
    title, key = PROTOCOL_NAMES[protocol], measure.key
    text = "; ".join(
        f"{row['arm']} at {row['labels']} labelled cases {row[key]:.3f}"
        for row in summary.to_dict("records")
    )
    return {
        "protocol": protocol,
        "title": title,
        "baseline": baseline,
        "verdicts": verdicts(cases, baseline=baseline, measure=measure) if baseline else [],
        "against_long": verdicts(cases, baseline=LONG, measure=measure) if LONG in arms else [],
        "result": _grouped(summary.sort_values("labels", kind="stable"), "labels"),
        "saved": labels_saved(cases, baseline=baseline, measure=measure) if baseline else [],
        "labels": plot(
            figures.score_by_labels(cases, summary, baseline=baseline, measure=measure),
            alt=f"{title}: {measure.long_name} against the number of labelled cases: {text}.",
            caption="Squares are means over "
            f"{'test cases and runs' if measure is DICE else 'runs'}, bars their 95% intervals, "
            "dots the single runs." + (_PAIRED if baseline else ""),
        ),
        "receiver": plot(
            None if measure is DICE else receiver_curves(cases),
            alt=f"{title}: receiver's curves, sensitivity against the false positive rate of each "
            f"arm, one panel a number of labelled cases. AUROC: {text}.",
            caption="One line an arm, the mean of its runs"
            + (" and classes, each against the rest" if len(probability_columns(cases)) > 2 else "")
            + ". The diagonal is chance.",
        ),
        "paired": plot(
            figures.paired_cases(cases, baseline=baseline, measure=measure) if baseline else None,
            alt=f"{title}: scatter of each test case's {measure.of_a_case} of {baseline} against "
            "that after pre-training, one panel a number of labelled cases.",
            caption=f"Each dot is a test case, its {measure.of_a_case} averaged over runs. Above "
            f"the line, {_ABOVE[measure.key]} after pre-training.",
        ),
    }


def _mistaken(cases: pd.DataFrame) -> list[dict[str, Any]]:
    """The test cases that are told worst with the most labels, by the mean over arms and runs."""
    most = cases[cases["labels"] == cases["labels"].max()]
    scores = AUROC.by_case(most).pivot_table(index="case", columns="arm", values="score")
    worst = scores.mean(axis=1).sort_values(kind="stable").index[:_WORST]
    class_of = most.drop_duplicates("case").set_index("case")["class"]
    return [
        {"case": case, "class": class_of[case], "scores": scores.loc[case].to_dict()}
        for case in worst
    ]


def _plots(evidence: Evidence) -> dict[str, Plot | None]:
    measure = measure_of(evidence.plan.get("classes"))
    tuned = _named_quantities(evidence.curves)
    pretrained = {arm.arm: _named_quantities(arm.curves) for arm in evidence.pretraining}
    probed = any(arm.probed for arm in evidence.pretraining)
    return {
        "tuning": plot(
            figures.fine_tuning_curves(tuned),
            alt=f"Training loss and validation {measure.name} of each fine-tuning run against its "
            "steps.",
            caption="One line a run. Losses are smoothed over a twentieth of the steps; the faint "
            "lines are the values as logged. A curve that still falls at the end asks for more "
            "steps.",
        ),
        "pretraining": plot(
            figures.pretraining_curves(pretrained),
            alt="What was measured during pre-training against its steps.",
            caption="Pre-training: the loss on crops it learns from, and on held-out patients with "
            "fixed draws." + (_PROBED if probed else ""),
        ),
    }


def _structures(cases: pd.DataFrame, count: int) -> dict[str, Any]:
    part = cases[cases["labels"] == count]
    rows = (
        part.assign(missed=part["empty"].isin(["prediction", "truth"]), scored=part["dice"].notna())
        .groupby(["class", "arm"], sort=False)
        .agg(
            dice=("dice", "mean"),
            nsd=("nsd", "mean"),
            hd95=("hd95", "mean"),
            missed=("missed", "sum"),
            count=("scored", "sum"),
        )
        .reset_index()
        .rename(columns={"class": "name"})
    )
    return {"title": f"At {count} labelled cases", "groups": _grouped(rows, "name")}


def _shown(arm: PreTraining, evidence: Evidence) -> dict[str, Plot | None]:
    names = ", ".join(arm.examples)
    examples = arm.examples and plot(
        pictures.draw_examples(arm.examples, spacing=evidence.outcome["spacing"]),
        alt=f"Held-out crops as {arm.arm} shows them, in three planes: {names}.",
        caption=f"What {arm.arm} showed its network, and what the network made of it at the "
        f"end, for two crops of held-out patients: {names}, each as its middle axial, coronal "
        "and sagittal slice.",
        dots_per_inch=PHOTO_DOTS,
    )
    embeddings = arm.embeddings and embedding_plot(arm.embeddings, f"{arm.arm}, not fine-tuned")
    return {"examples": examples or None, "embeddings": embeddings or None}


def _organs(evidence: Evidence) -> dict[str, Any] | None:
    """How near the features come to organs of other patients, each beside the floors."""
    errors = evidence.organs
    if errors.empty:
        return None
    summary = summarize_errors(errors.assign(kind="organs"))
    floors = {RANDOM, PLACE, PATCHES}
    rows = summary.assign(is_floor=summary["embedding"].isin(floors))
    return {
        "rows": rows.sort_values(["is_floor", "median_mm"]).to_dict("records"),
        "queries": int(summary["queries"].iloc[0]),
        "patients": errors["target"].nunique(),
    }


def _overlay(overlay: pictures.Overlay, plan: dict[str, Any]) -> Plot:
    scores = ", ".join(f"{arm} {dice:.3f}" for arm, dice in overlay.dice.items())
    picture = plot(
        pictures.draw_overlay(overlay),
        alt=f"{overlay.role} case, {overlay.case}: true and predicted outlines over the axial, "
        f"coronal and sagittal slice. Dice: {scores}.",
        caption=f"{overlay.role.capitalize()} case, {overlay.case}. Mean Dice: {scores}. "
        "Slices with most foreground.",
        dots_per_inch=PHOTO_DOTS,
    )
    assert picture is not None
    return picture


def _named_quantities(curves: pd.DataFrame) -> pd.DataFrame:
    """The rows of the quantities that a reader wants to see, under the names of their axes."""
    named = curves.assign(quantity=curves["name"].map(_QUANTITIES))
    return named[named["quantity"].notna()]


def _grouped(table: pd.DataFrame, key: str) -> list[list[dict[str, Any]]]:
    """Rows as dictionaries, those that share the key's value together, in the order met."""
    return [group.to_dict("records") for _, group in table.groupby(key, sort=False)]
