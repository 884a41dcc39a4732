"""The report's figures as PNG data that a page can hold: curves, label efficiency, paired cases."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from selfscan.evaluation.measures import DICE, Measure
from selfscan.evaluation.statistics import LONG, NOT_PRETRAINED

# Okabe and Ito's palette, told apart by color-blind readers; from scratch is always the gray.
GRAY = "#6e6e6e"
LIGHT_GRAY = "#a9a9a9"
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
FLOOR_COLORS = (GRAY, COLORS[1], COLORS[2])  # what an embedding must beat
INK = "#222222"
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans"],
    "font.size": 9,
    "axes.edgecolor": "#999999",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "text.color": INK,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
}


def arm_colors(arms: Sequence[str]) -> dict[str, str]:
    """One color an arm, grays for those without pre-training."""
    trained = [arm for arm in arms if arm not in NOT_PRETRAINED]
    colors = {arm: COLORS[i % len(COLORS)] for i, arm in enumerate(trained)}
    return {arm: colors.get(arm, LIGHT_GRAY if arm == LONG else GRAY) for arm in arms}


def encode(canvas: Canvas, *, dots_per_inch: int) -> str:
    """The figure as a `data:` address of a PNG image."""
    buffer = io.BytesIO()
    with rc_context(STYLE):
        canvas.savefig(buffer, format="png", dpi=dots_per_inch, facecolor="white")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def score_by_labels(
    cases: pd.DataFrame, summary: pd.DataFrame, *, baseline: str | None, measure: Measure = DICE
) -> Canvas:
    """The score by number of labelled cases, and its paired difference to the baseline.

    Bars are 95% intervals, dots the single runs.
    """
    runs, key = measure.by_run(cases), measure.key
    counts = sorted(summary["labels"].unique())
    colors = arm_colors(list(summary["arm"].unique()))
    with rc_context(STYLE):
        panels = 1 if baseline is None else 2
        canvas, axes = panels_of(panels, width=4.55 * panels, height=3.2, columns=panels)
        for position, (arm, color) in enumerate(colors.items()):
            rows = summary[summary["arm"] == arm].sort_values("labels")
            shift = 0.1 * (position - (len(colors) - 1) / 2)
            values = rows[[key, f"{key}_low", f"{key}_high"]].to_numpy()
            _plot_estimates(axes[0], values, runs[arm].unstack("seed"), color, shift, label=arm)
            if baseline is not None and arm != baseline:
                changes = rows[["difference", "difference_low", "difference_high"]].to_numpy()
                by_run = (runs[arm] - runs[baseline]).unstack("seed")
                _plot_estimates(axes[1], changes, by_run, color, shift)
        axes[0].set_ylabel(f"{measure.long_name} of the test cases")
        # Above the panel: inside, it would cover intervals where there is one number of labels.
        axes[0].legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
        if baseline is not None:
            axes[1].axhline(0, color=GRAY, linewidth=1.2)
            axes[1].set_ylabel(f"difference in {measure.name} to {baseline}")
        for panel in axes:
            panel.set_xticks(range(len(counts)), [str(count) for count in counts])
            panel.set_xlim(-0.5, len(counts) - 0.5)
            panel.set_xlabel("labelled cases")
            panel.grid(axis="y")
    return canvas


def paired_cases(cases: pd.DataFrame, *, baseline: str, measure: Measure = DICE) -> Canvas:
    """Each test case as a dot: its score from scratch against that after pre-training."""
    scores = measure.by_case(cases).groupby(["arm", "labels", "case"])["score"].mean()
    counts = sorted(cases["labels"].unique())
    colors = arm_colors(list(cases["arm"].unique()))
    lowest, highest = float(scores.min()), float(scores.max())
    margin = 0.04 * max(highest - lowest, 0.02)
    limits = (max(lowest - margin, -0.02), min(highest + margin, 1.02))
    with rc_context(STYLE):
        columns = min(len(counts), 3)
        rows = -(-len(counts) // columns)
        side = 3.02 if columns > 1 else 3.6
        canvas, panels = panels_of(
            len(counts), width=side * columns, height=(side + 0.25) * rows, columns=columns
        )
        for axes, count in zip(panels, counts, strict=True):
            axes.plot(limits, limits, color="#bbbbbb", linewidth=0.9, zorder=1)
            for arm, color in colors.items():
                if arm in (*NOT_PRETRAINED, baseline):
                    continue
                pairs = pd.concat([scores[baseline][count], scores[arm][count]], axis=1)
                theirs, ours = pairs.to_numpy().T
                axes.scatter(
                    theirs,
                    ours,
                    s=18,
                    color=color,
                    alpha=0.75,
                    linewidth=0,
                    label=arm,
                    zorder=3,
                )
            axes.set(xlim=limits, ylim=limits, aspect="equal")
            axes.set_title(f"{count} labelled cases")
            axes.set_xlabel(f"{measure.of_a_case}, {baseline}")
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.yaxis.set_major_locator(MaxNLocator(5))
            axes.grid()
        panels[0].set_ylabel(f"{measure.of_a_case}, pre-trained")
        panels[0].legend(loc="upper left", handletextpad=0.2)
    return canvas


def fine_tuning_curves(curves: pd.DataFrame) -> Canvas | None:
    """Loss and validation score of every fine-tuning run against its steps.

    Args:
        curves: Columns `arm`, `labels`, `seed`, `step`, `quantity` (the axis label), `value`.

    Returns:
        Nothing where no quantity was measured at two steps or more.
    """
    curves = curves.dropna(subset=["value"])
    steps = curves.groupby("quantity", sort=False)["step"].nunique()
    quantities = list(steps.index[steps > 1])
    if not quantities:
        return None
    counts = sorted(curves["labels"].unique())
    colors = arm_colors(list(curves["arm"].unique()))
    with rc_context(STYLE):
        canvas, panels = panels_of(
            len(quantities) * len(counts),
            width=min(3.3 * len(counts) + 0.5, 9.1) if len(counts) > 1 else 4.8,
            height=2.3 * len(quantities),
            columns=len(counts),
        )
        for place, axes in enumerate(panels):
            quantity, count = quantities[place // len(counts)], counts[place % len(counts)]
            part = curves[(curves["quantity"] == quantity) & (curves["labels"] == count)]
            for (arm, _), run in part.groupby(["arm", "seed"], sort=False):
                _plot_smoothed(axes, run["step"], run["value"], colors[arm])
            _share_range(axes, curves.loc[curves["quantity"] == quantity, "value"])
            axes.set_title(f"{count} labelled cases" if place < len(counts) else "")
            axes.set_xlabel("fine-tuning steps" if place >= len(panels) - len(counts) else "")
            axes.set_ylabel(quantity if place % len(counts) == 0 else "")
            axes.grid(axis="y")
        for arm, color in colors.items():
            panels[0].plot([], [], color=color, label=arm)
        panels[0].legend(loc="best")
    return canvas


def pretraining_curves(curves: Mapping[str, pd.DataFrame]) -> Canvas | None:
    """What was measured while pre-training, one panel a quantity, one line an arm.

    Args:
        curves: By arm, columns `step`, `quantity`, `value`.
    """
    merged = [rows.assign(arm=arm) for arm, rows in curves.items() if len(rows)]
    if not merged:
        return None
    table = pd.concat(merged)
    steps = table.groupby("quantity", sort=False)["step"].nunique()
    quantities = list(steps.index[steps > 1])[:4]
    if not quantities:
        return None
    colors = arm_colors(list(curves))
    columns = min(len(quantities), 2)
    with rc_context(STYLE):
        canvas, panels = panels_of(
            len(quantities),
            width=4.5 * columns if columns > 1 else 5.0,
            height=2.4 * -(-len(quantities) // columns),
            columns=columns,
        )
        for axes, quantity in zip(panels, quantities, strict=True):
            for arm, run in table[table["quantity"] == quantity].groupby("arm", sort=False):
                _plot_smoothed(axes, run["step"], run["value"], colors[str(arm)], label=str(arm))
            axes.set_xlabel("pre-training steps")
            axes.set_ylabel(quantity)
            axes.grid(axis="y")
        if len(curves) > 1:
            panels[0].legend()
    return canvas


def error_shares(errors: Mapping[str, Mapping[str, Any]], *, largest_mm: float = 60.0) -> Canvas:
    """Which share of the queries ends within a distance of the true place, one panel a kind.

    Args:
        errors: By kind, by embedding: the errors in mm.
        largest_mm: Where the axis ends.
    """
    with rc_context(STYLE):
        canvas, panels = panels_of(
            len(errors), width=4.55 * len(errors), height=3.2, columns=len(errors)
        )
        for axes, (kind, found) in zip(panels, errors.items(), strict=True):
            for place, (embedding, values) in enumerate(found.items()):
                color = COLORS[0] if place == 0 else FLOOR_COLORS[(place - 1) % len(FLOOR_COLORS)]
                shares = (np.arange(len(values)) + 1) / len(values)
                axes.step(
                    [0, *np.sort(values)],
                    [0, *shares],
                    where="post",
                    color=color,
                    linewidth=1.8 if place == 0 else 1.2,
                    label=embedding,
                )
            axes.set_title(kind)
            axes.set_xlim(0, largest_mm)
            axes.set_ylim(0, 1)
            axes.set_xlabel("distance from the true place, mm")
            axes.grid()
        panels[0].set_ylabel("share of queries within")
        panels[0].legend(loc="lower right")
    return canvas


def panels_of(
    panels: int, *, width: float, height: float, columns: int = 1
) -> tuple[Canvas, list[Axes]]:
    """A figure of so many panels, in rows of `columns`."""
    canvas = Canvas(figsize=(width, height), layout="constrained")
    rows = -(-panels // columns)
    return canvas, [canvas.add_subplot(rows, columns, place + 1) for place in range(panels)]


def _plot_estimates(
    axes: Axes, values: Any, runs: pd.DataFrame, color: str, shift: float, *, label: str = ""
) -> None:
    """Values (counts, 3) as means with bars; runs (counts, seeds) as dots beside them."""
    x = np.arange(len(values)) + shift
    bars = np.abs(values[:, 1:] - values[:, :1]).T
    axes.errorbar(
        x,
        values[:, 0],
        bars,
        color=color,
        marker="s",
        markersize=5,
        linewidth=1.4,
        elinewidth=1.1,
        capsize=3,
        label=label,
        zorder=3,
    )
    for _, run in runs.items():
        axes.scatter(x + 0.035, run, s=13, color=color, alpha=0.5, linewidth=0, zorder=4)


def _plot_smoothed(axes: Axes, steps: Any, values: Any, color: str, *, label: str = "") -> None:
    """Many points: a faint line and its running mean over a twentieth of them; few: dots."""
    if len(steps) < 40:
        axes.plot(steps, values, color=color, linewidth=1.3, marker=".", markersize=4, label=label)
        return
    window = len(values) // 20
    smooth = pd.Series(values.to_numpy()).rolling(window, center=True, min_periods=1).mean()
    axes.plot(steps, values, color=color, linewidth=0.5, alpha=0.25)
    axes.plot(steps, smooth, color=color, linewidth=1.3, label=label)


def _share_range(axes: Axes, values: Any) -> None:
    """Equal limits for all panels of a quantity; the first steps may stick out above."""
    low, high = float(values.min()), float(values.quantile(0.995))
    margin = 0.06 * max(high - low, 1e-3)
    axes.set_ylim(low - margin, high + margin)
