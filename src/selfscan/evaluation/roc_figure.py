"""Receiver's curves of the arms of a comparison, averaged over runs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure as Canvas
from sklearn.metrics import roc_curve

from selfscan.class_metrics import Floats, judged_classes
from selfscan.evaluation.figures import STYLE, arm_colors, panels_of
from selfscan.evaluation.measures import class_numbers, probability_columns

_PLACES = np.linspace(0, 1, 201)


def mean_curve(cases: pd.DataFrame) -> Floats:
    """Sensitivity at 201 false positive rates from 0 to 1, averaged over runs and judged classes.

    Args:
        cases: Rows of one arm and number of labels.
    """
    names, curves = probability_columns(cases), []
    for _, run in cases.groupby("seed", sort=False):
        classes, given = class_numbers(run), run[names].to_numpy()
        for k in judged_classes(len(names)):
            false, true, _ = roc_curve(classes == k, given[:, k])
            curve = np.interp(_PLACES, false, true)
            curve[0] = 0.0
            curves.append(curve)
    return np.asarray(np.mean(curves, axis=0))


def receiver_curves(cases: pd.DataFrame) -> Canvas:
    """One panel a number of labels, one curve an arm; the diagonal is chance."""
    counts = sorted(cases["labels"].unique())
    columns = min(len(counts), 3)
    side = 3.02 if columns > 1 else 3.6
    rows = -(-len(counts) // columns)
    with rc_context(STYLE):
        canvas, panels = panels_of(
            len(counts), width=side * columns, height=(side + 0.25) * rows, columns=columns
        )
        for axes, count in zip(panels, counts, strict=True):
            axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=0.9, zorder=1)
            for arm, color in arm_colors(list(cases["arm"].unique())).items():
                rows_of = cases[(cases["arm"] == arm) & (cases["labels"] == count)]
                axes.plot(_PLACES, mean_curve(rows_of), color=color, linewidth=1.5, label=arm)
            axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
            axes.set_title(f"{count} labelled cases")
            axes.set_xlabel("false positive rate")
            axes.grid()
        panels[0].set_ylabel("sensitivity")
        panels[0].legend(loc="lower right")
    return canvas
