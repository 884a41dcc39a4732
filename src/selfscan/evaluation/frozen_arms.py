"""The networks of a comparison's arms as they are before fine-tuning, only to be looked at."""

from __future__ import annotations

from lightning_fabric import Fabric

from selfscan.checkpoints.loading import LoadReport
from selfscan.evaluation.plan import Arm, Plan
from selfscan.networks.backbone import Part
from selfscan.scans.store import Store
from selfscan.training.frozen import FrozenBackbone, freeze
from selfscan.training.start import starting_point


def frozen_arm(
    arm: Arm, plan: Plan, *, part: Part | None, seed: int, overlap: float, fabric: Fabric
) -> tuple[FrozenBackbone, LoadReport | None]:
    """The network of an arm, with what was loaded; random weights where it has no checkpoint.

    Args:
        arm: From a checkpoint or not.
        plan: The comparison, whose network and windows every arm has.
        part: What of the network gives features; None takes what the checkpoint has.
        seed: Of the random weights.
        overlap: Share of a window that its neighbor covers too.
        fabric: Device and precision.
    """
    start = starting_point(
        Store(plan.store),
        checkpoint=arm.checkpoint,
        backbone=None if arm.checkpoint else plan.backbone,
        crop_size=plan.recipe.crop_size,
        window_hu=None if arm.checkpoint else plan.window_hu,
        part=part,
    )
    return freeze(start, seed=seed, overlap=overlap, fabric=fabric)
