from __future__ import annotations

from pathlib import Path

from selfscan.evaluation.plan import Arm, Cell
from selfscan.evaluation.rates import best_rates


def test_each_arm_has_the_rate_of_its_best_score() -> None:
    tried = {
        Cell(Arm(arm), 4, 0, rate, Path(arm)): score
        for arm, rate, score in (
            ("scratch", 1e-3, 0.6),
            ("scratch", 3e-3, 0.7),
            ("genesis", 1e-3, 0.8),
            ("genesis", 3e-3, 0.5),
        )
    }
    assert best_rates(tried) == {"scratch": 3e-3, "genesis": 1e-3}
    assert best_rates({}) == {}
