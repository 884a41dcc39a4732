"""A method as the loop trains and validates it: views drawn by example, losses compared."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from selfscan.files import written_atomically
from selfscan.methods.method import Method, Outcome, Views
from selfscan.methods.words import WordClassification
from selfscan.scans.crops import Batch
from selfscan.scans.crops.words import WORD
from selfscan.training.wrapped import Trainable
from selfscan.transforms.random import KeyedGenerator

_SHOWN = 4


class PretextTask(Trainable):
    """Draws the views of a batch, then compares what the network makes of them.

    Args:
        method: The method, with its backbone.
        seed: Of the views; example i has the same views in every batch and on every rank.
        words: Names the visual words that crops lie at, by the way; the method does not notice.
    """

    def __init__(
        self, method: Method, *, seed: int, words: WordClassification | None = None
    ) -> None:
        super().__init__()
        self.method = method
        self.words = words
        self._seed = seed

    def forward(self, batch: Batch) -> Outcome:
        """The losses of a batch on the method's device."""
        return self.compare(draw_views(self.method, batch, seed=self._seed), batch)

    def compare(self, views: Views, batch: Batch) -> Outcome:
        """The losses of the views of a batch."""
        if self.words is None:
            outcome: Outcome = self.method(views)
            return outcome
        with self.method.backbone.watched() as seen:
            outcome = self.method(views)
        words = batch.extras[WORD].flatten()
        named: Outcome = self.words(seen, self.method.shown_crops(len(words)), words)
        return Outcome(outcome.losses | named.losses, outcome.monitors | named.monitors)

    def after_step(self, step: int) -> None:
        """Let the method follow."""
        self.method.after_step(step)


def draw_views(method: Method, batch: Batch, *, seed: int) -> Views:
    """The views of a batch, without gradients and in full precision."""
    device = batch.volumes.device.type
    with torch.no_grad(), torch.autocast(device, enabled=False):
        return method.views(batch, KeyedGenerator.for_examples(seed, batch.examples))


class PretextValidation:
    """The losses and monitors of a task on held-out examples that are always the same.

    Args:
        task: On its device.
        batches: The held-out batches; they are read anew each time.
        seed: Of the views, which are fixed too, so that values of different steps compare.
        picture: Where to keep what the method shows of the first examples, if anywhere.
    """

    def __init__(
        self, task: PretextTask, batches: Iterable[Batch], *, seed: int, picture: Path | None
    ) -> None:
        self._task, self._batches, self._seed = task, batches, seed
        self._picture = picture

    def __call__(self) -> dict[str, float]:
        """Means over the examples: `loss` is the sum of the loss terms."""
        device = next(self._task.parameters()).device
        rows = []
        for number, held in enumerate(self._batches):
            batch = held.to(device)
            views = draw_views(self._task.method, batch, seed=self._seed)
            outcome = self._task.compare(views, batch)
            terms = {"loss": outcome.total, **outcome.losses, **outcome.monitors}
            rows.append({name: float(term) for name, term in terms.items()})
            if number == 0 and self._picture is not None:
                self._show(views, self._picture)
        return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}

    def _show(self, views: Views, path: Path) -> None:
        shown: dict[str, Any] = {
            name: volumes[:_SHOWN].half().cpu().numpy()
            for name, volumes in self._task.method.illustrate(views).items()
        }
        with written_atomically(path) as temporary:
            np.savez_compressed(temporary, **shown)
