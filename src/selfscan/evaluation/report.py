"""The report: one HTML file that opens offline, with what was found and how far to believe it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure as Canvas

from selfscan.evaluation import figures, pictures
from selfscan.evaluation.evidence import Evidence, PreTraining, gather
from selfscan.evaluation.facts import header_facts, how_it_was_done, load_counts
from selfscan.evaluation.statistics import SCRATCH, summarize
from selfscan.evaluation.verdict import cautions, p_text, verdicts
from selfscan.files import written_atomically

_PHOTO_DOTS = 120  # of scans, whose voxels are larger anyway; the page stays small
_PAIRED = " On the right the paired difference: above zero, pre-training scores higher."
_PROBED = (
    " Probe Dice is that of a linear classifier on the frozen features, fitted anew each time to a "
    "few labelled scans and scored on others."
)
_QUANTITIES = {
    "train/loss": "training loss",
    "validation/loss": "validation loss",
    "validation/dice": "validation Dice",
    "validation/probe_dice": "probe Dice",
}


@dataclass(frozen=True)
class Plot:
    """A figure of the page.

    Attributes:
        source: Its image as a `data:` address.
        alt: What it shows, for who cannot see it.
        caption: How to read it.
        width: Of the image on the page, in CSS pixels, so that all text has one size.
    """

    source: str
    alt: str
    caption: str
    width: int


def write_report(folder: Path) -> Path:
    """Write `report.html` from what a finished comparison left in its folder."""
    page = render(gather(folder))
    path = folder / "report.html"
    with written_atomically(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def render(evidence: Evidence) -> str:
    """The whole page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters |= {
        "score": lambda value: _number(value, ".3f"),
        "signed": lambda value: _number(value, "+.3f"),
        "millimeters": lambda value: _number(value, ".1f"),
        "p": lambda value: p_text(value).removeprefix("= "),
    }
    return environment.get_template("report.html.j2").render(**_page(evidence))


def _page(evidence: Evidence) -> dict[str, Any]:
    plan, cases = evidence.plan, evidence.cases
    names = [arm["name"] for arm in plan["arms"]]
    baseline = SCRATCH if SCRATCH in names and len(names) > 1 else None
    summary = summarize(cases, baseline=baseline)
    counts = sorted(cases["labels"].unique())
    return {
        "verdicts": verdicts(cases, baseline=baseline) if baseline else [],
        "cautions": cautions(cases),
        "baseline": baseline,
        "colors": figures.arm_colors(names),
        "result": _grouped(summary.sort_values("labels", kind="stable"), "labels"),
        "structures": [_structures(cases, count) for count in reversed(counts)],
        "plots": _plots(evidence, summary, baseline),
        "pretraining": [_shown(arm, evidence) for arm in evidence.pretraining],
        "overlays": [_overlay(overlay, plan) for overlay in evidence.overlays],
        "loads": [load_counts(arm) for arm in evidence.pretraining],
        "facts": header_facts(evidence),
        "how": how_it_was_done(evidence),
        "settings": yaml.safe_dump(plan, sort_keys=False, allow_unicode=True),
    }


def _plots(
    evidence: Evidence, summary: pd.DataFrame, baseline: str | None
) -> dict[str, Plot | None]:
    cases = evidence.cases
    text = "; ".join(
        f"{row['arm']} at {row['labels']} labelled cases {row['dice']:.3f}"
        for row in summary.to_dict("records")
    )
    tuned = _named_quantities(evidence.curves)
    pretrained = {arm.arm: _named_quantities(arm.curves) for arm in evidence.pretraining}
    probed = any(arm.probed for arm in evidence.pretraining)
    return {
        "labels": _plot(
            figures.dice_by_labels(cases, summary, baseline=baseline),
            alt=f"Mean Dice against the number of labelled cases: {text}.",
            caption="Squares are means over test cases and runs, bars their 95% intervals, "
            "dots the single runs." + (_PAIRED if baseline else ""),
        ),
        "paired": _plot(
            figures.paired_cases(cases, baseline=baseline) if baseline else None,
            alt="Scatter of each test case's Dice from scratch against its Dice after "
            "pre-training, one panel a number of labelled cases.",
            caption="Each dot is a test case, its Dice averaged over runs. Above the line, the "
            "case is segmented better after pre-training.",
        ),
        "tuning": _plot(
            figures.fine_tuning_curves(tuned),
            alt="Training loss and validation Dice of each fine-tuning run against its steps.",
            caption="One line a run. Losses are smoothed over a twentieth of the steps; the faint "
            "lines are the values as logged. A curve that still falls at the end asks for more "
            "steps.",
        ),
        "pretraining": _plot(
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


def _shown(arm: PreTraining, evidence: Evidence) -> dict[str, Any]:
    if not arm.examples:
        return {"examples": None}
    spacing = evidence.outcome["spacing"]
    names = ", ".join(arm.examples)
    return {
        "examples": _plot(
            pictures.draw_examples(arm.examples, spacing=spacing),
            alt=f"Held-out crops as {arm.arm} shows them, in three planes: {names}.",
            caption=f"What {arm.arm} showed its network, and what the network made of it at the "
            f"end, for two crops of held-out patients: {names}, each as its middle axial, coronal "
            "and sagittal slice.",
            dots_per_inch=_PHOTO_DOTS,
        )
    }


def _overlay(overlay: pictures.Overlay, plan: dict[str, Any]) -> Plot:
    scores = ", ".join(f"{arm} {dice:.3f}" for arm, dice in overlay.dice.items())
    plot = _plot(
        pictures.draw_overlay(overlay),
        alt=f"{overlay.role} case, {overlay.case}: true and predicted outlines over the axial, "
        f"coronal and sagittal slice. Dice: {scores}.",
        caption=f"{overlay.role.capitalize()} case, {overlay.case}. Mean Dice: {scores}. "
        "Slices with most foreground.",
        dots_per_inch=_PHOTO_DOTS,
    )
    assert plot is not None
    return plot


def _plot(
    canvas: Canvas | None, *, alt: str, caption: str, dots_per_inch: int = 170
) -> Plot | None:
    if canvas is None:
        return None
    source = figures.encode(canvas, dots_per_inch=dots_per_inch)
    return Plot(source, alt, caption, width=round(96 * canvas.get_figwidth()))


def _named_quantities(curves: pd.DataFrame) -> pd.DataFrame:
    """The rows of the quantities that a reader wants to see, under the names of their axes."""
    named = curves.assign(quantity=curves["name"].map(_QUANTITIES))
    return named[named["quantity"].notna()]


def _grouped(table: pd.DataFrame, key: str) -> list[list[dict[str, Any]]]:
    """Rows as dictionaries, those that share the key's value together, in the order met."""
    return [group.to_dict("records") for _, group in table.groupby(key, sort=False)]


def _number(value: float, form: str) -> str:
    return "–" if math.isnan(value) else format(value, form).replace("-", "−")
