"""Batches of a pre-training run: training ones from any step on, held-out ones always the same."""

from __future__ import annotations

import math
from collections.abc import Iterable

from lightning_fabric import Fabric

from selfscan.scans.crops import Batch, CropDataset, CropPolicy, batches
from selfscan.scans.store import Store
from selfscan.training.seeds import derive_seed


class CropStreams:
    """Batches of the scans to train on, and of those held out.

    Args:
        scans: To train on.
        held: To validate on.
        policy: Which crops make an example.
        batch_size: Examples in a batch on each device.
        steps: Optimizer steps.
        accumulate: Batches in a step.
        seed: The run's seed.
        workers: Processes that read training batches ahead, on each device.
        fabric: Launched; it knows this process's rank.
    """

    def __init__(
        self,
        scans: Store,
        held: Store,
        policy: CropPolicy,
        *,
        batch_size: int,
        steps: int,
        accumulate: int,
        seed: int,
        workers: int,
        fabric: Fabric,
    ) -> None:
        self._batch_size, self._accumulate = batch_size, accumulate
        self._steps, self._workers, self._fabric = steps, workers, fabric
        self._held, self._policy, self._seed = held, policy, seed
        self._dataset = CropDataset(
            scans,
            policy,
            seed=derive_seed(seed, "crops"),
            length=steps * accumulate * batch_size * fabric.world_size,
        )

    def training(self, first_step: int) -> Iterable[Batch]:
        """The batches of a step and all later ones, `accumulate` a step."""
        return batches(
            self._dataset,
            batch_size=self._batch_size,
            steps=self._steps * self._accumulate,
            first_step=first_step * self._accumulate,
            rank=self._fabric.global_rank,
            world_size=self._fabric.world_size,
            workers=self._workers,
            pin_memory=self._fabric.device.type == "cuda",
        )

    def validation(self, examples: int) -> Iterable[Batch]:
        """At least so many held-out examples in whole batches, all of them on every rank."""
        count = math.ceil(examples / self._batch_size)
        dataset = CropDataset(
            self._held,
            self._policy,
            seed=derive_seed(self._seed, "validation crops"),
            length=count * self._batch_size,
        )
        return batches(dataset, batch_size=self._batch_size, steps=count)
