"""How whole scans are embedded by frozen features, and heads fitted to them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ClassifyRecipe:
    """How scans are embedded and heads fitted.

    Attributes:
        voxels: Of the body, drawn from each scan and averaged.
        overlap: Share of a window that its neighbor covers too.
        penalty: Of squared coefficients, against the summed loss.
        neighbors: That vote in `knn`.
    """

    voxels: int = 2000
    overlap: float = 0.5
    penalty: float = 50.0
    neighbors: int = 5

    def __post_init__(self) -> None:
        """Refuse values without a meaning."""
        for name in ("voxels", "neighbors"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.penalty <= 0:
            raise ValueError(f"penalty must be positive, got {self.penalty}")
        if not 0 <= self.overlap < 1:
            raise ValueError(f"overlap must lie in [0, 1), got {self.overlap}")
