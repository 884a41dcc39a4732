from __future__ import annotations

import sys
from datetime import datetime

import pytest
import torch

from selfscan.evaluation.provenance import provenance


def test_a_result_says_when_how_and_with_what(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/selfscan", "compare", "my store", "out"])
    found = provenance()
    assert found["command"] == "selfscan compare 'my store' out"
    assert found["versions"]["torch"] == torch.__version__
    assert datetime.fromisoformat(found["date"]).utcoffset() is not None
