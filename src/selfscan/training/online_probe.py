"""Probing while pre-training runs: how good the features are by now, on held-out labelled scans."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

from selfscan.errors import SelfscanError
from selfscan.progress import console
from selfscan.scans.store import Store
from selfscan.training.fitted_probe import fit_probe
from selfscan.training.frozen import FrozenBackbone
from selfscan.training.mean_dice import mean_dice
from selfscan.training.start import labelled_cases, labelled_split
from selfscan.training.voxel_head import NotSolvedError, fit_linear
from selfscan.training.voxel_sample import draw_voxels


@dataclass(frozen=True)
class OnlineProbe:
    """Which labelled scans watch the pre-training, and how.

    Each validation fits the exact linear head on the frozen backbone with a few labelled cases and
    scores it on held-out ones. Labels never reach the pre-training itself: its weights are, to the
    bit, those of a run without a probe. They only tell how good the features are, and choose the
    best of its checkpoints. Score scans that no final result is reported on.

    Attributes:
        cases: Labelled cases to learn from: the first so many in a fixed order, or these ids.
        train_split: The split of the labelled cases.
        scored_split: The split of the scans that are scored.
        scored_cases: Scans to score, at most; the first so many in a fixed order.
        voxels_per_class: Voxels of each structure drawn from each labelled case, once for all.
        background_voxels: Voxels of the background drawn from each labelled case.
        overlap: Share of a window that its neighbor covers too.
        penalty: Of the head's squared coefficients, against the summed loss.
        iterations: Most iterations of L-BFGS; a head not solved by then gives no number.
    """

    cases: int | tuple[str, ...] = 3
    train_split: str = "train"
    scored_split: str = "validation"
    scored_cases: int = 5
    voxels_per_class: int = 300
    background_voxels: int = 3000
    overlap: float = 0.25
    penalty: float = 10.0
    iterations: int = 1000

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        for name in ("scored_cases", "voxels_per_class", "background_voxels", "iterations"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.overlap < 1:
            raise ValueError(f"overlap must lie in [0, 1), got {self.overlap}")
        if self.penalty <= 0:
            raise ValueError(f"penalty must be positive, got {self.penalty}")


class ProbeValidation:
    """The mean Dice of a linear head on a backbone as it is, on scans that are always the same.

    Args:
        probe: Which scans, and how.
        store: All scans.
        seed: Of the voxels drawn.

    Raises:
        SelfscanError: Too few labelled cases, none to score, or a patient on both sides.
    """

    def __init__(self, probe: OnlineProbe, store: Store, *, seed: int) -> None:
        self._probe = probe
        self._train = labelled_cases(store, probe.train_split, probe.cases)
        scored = labelled_split(store, probe.scored_split)
        if scored is None:
            raise SelfscanError(
                f"{store.path}: found no labelled scan in the split {probe.scored_split!r}; "
                "expected some to score the probe on; name their split with --probe.scored_split"
            )
        count = min(probe.scored_cases, len(scored))
        self._scored = labelled_cases(store, probe.scored_split, count)
        if both := sorted(set(self._train.subjects) & set(self._scored.subjects)):
            raise SelfscanError(
                f"{store.path}: found {len(both)} patients both among the probe's labelled cases "
                "and among the scans it is scored on; expected different patients; choose other "
                "splits with --probe.train_split and --probe.scored_split"
            )
        self._voxels = draw_voxels(
            self._train,
            per_class=probe.voxels_per_class,
            background=probe.background_voxels,
            seed=seed,
            visible=False,
        )

    @property
    def scans(self) -> tuple[Store, Store]:
        """Those that it learns from, and those that it is scored on."""
        return self._train, self._scored

    def __call__(self, frozen: FrozenBackbone) -> dict[str, float]:
        """`probe_dice` for the mean, and `probe_dice/NAME` of each class; NaN if not solved.

        The share of the class prior is chosen on the cases learned from, so the score stays honest.
        """
        names = self._train.label_names
        fit = partial(
            fit_linear,
            pyramid=frozen.pyramid,
            count=len(names),
            penalty=self._probe.penalty,
            iterations=self._probe.iterations,
        )
        try:
            fitted = fit_probe(
                frozen, self._train, self._voxels, fit, judged=self._train, visible=False
            )
        except NotSolvedError as error:
            console.print(f"warning: {error}", style="yellow", soft_wrap=True)
            return {"probe_dice": math.nan}
        found = mean_dice(
            partial(fitted.segment, self._scored),
            self._scored,
            label_names=names,
            fabric=frozen.fabric,
        )
        return {f"probe_{name}": value for name, value in found.items()}
