"""The learning rate of each arm: which are tried, and which was best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from selfscan.evaluation.plan import Cell, Protocol
from selfscan.training.finetune import FinetuneRecipe

# The default of the recipe and half a decade below and above it.
LEARNING_RATES = (3e-4, 1e-3, 3e-3)


def usual_rates(
    recipe: FinetuneRecipe, protocols: Sequence[Protocol], *, can_choose: bool
) -> tuple[float, ...]:
    """The learning rates to choose from where nothing was said of them.

    A network is not judged at a rate that suits only another: each arm has its choice
    of `LEARNING_RATES`. None is tried where nothing is fine-tuned, without validation cases to
    choose by, or where the recipe has another rate than its default, which somebody chose.
    """
    chosen = recipe.optimizer.learning_rate != FinetuneRecipe().optimizer.learning_rate
    if chosen or not can_choose or "finetune" not in protocols:
        return ()
    return LEARNING_RATES


def best_rates(tried: Mapping[Cell, float]) -> dict[str, float]:
    """The learning rate of each arm with the best validation score; empty where none was tried."""
    best: dict[str, tuple[float, float]] = {}
    for cell, score in tried.items():
        if score > best.get(cell.arm.name, (-1.0, 0.0))[0]:
            best[cell.arm.name] = (score, cell.learning_rate)
    return {arm: rate for arm, (_, rate) in best.items()}
