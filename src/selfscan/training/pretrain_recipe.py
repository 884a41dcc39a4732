"""How long pre-training takes, on what, and how often it is looked at."""

from __future__ import annotations

from dataclasses import dataclass

from selfscan.training.loop import LoopConfig


@dataclass(frozen=True)
class PretrainRecipe:
    """How long, on what, and how often it is looked at.

    Attributes:
        steps: Optimizer steps. 100,000 are 42 of the published epochs of Models Genesis: just past
            the first cut of its learning rate.
        accumulate: Batches in a step; a step sees accumulate x devices of them.
        validation_share: Share of the patients that is held out for validation; at least as many as
            an example is of.
        validation_examples: Examples in a validation, rounded up to whole batches; they and their
            views are the same each time.
        validate_every: Steps between validations.
        checkpoint_every: Steps between checkpoints.
        log_every: Steps averaged to one row of the log.
    """

    steps: int = 100_000
    accumulate: int = 1
    validation_share: float = 0.1
    validation_examples: int = 32
    validate_every: int = 1000
    checkpoint_every: int = 1000
    log_every: int = 50

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        if not 0 < self.validation_share < 1:
            raise ValueError(
                f"validation_share must lie between 0 and 1, got {self.validation_share}"
            )
        if self.validation_examples < 1:
            raise ValueError(
                f"validation_examples must be at least 1, got {self.validation_examples}"
            )
        self.loop()

    def loop(self) -> LoopConfig:
        """The part that the loop needs."""
        return LoopConfig(
            steps=self.steps,
            accumulate=self.accumulate,
            validate_every=self.validate_every,
            checkpoint_every=self.checkpoint_every,
            log_every=self.log_every,
        )
