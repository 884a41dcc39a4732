"""ONNX: graphs that ONNX Runtime computes equal, and what must be done to a scan."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from small_models import write_model

from selfscan.errors import SelfscanError
from selfscan.exits.export import export
from selfscan.exits.leaving import leaving


@pytest.mark.slow
def test_another_volume_gives_the_same_in_onnx_runtime(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    run = write_model(tmp_path / "run", channels=2, spacing=(1.0, 1.0, 2.0))
    out = export(run, tmp_path / "out", to="onnx")
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md",
        "encoder.onnx",
        "preprocessing.json",
        "segmentation.onnx",
    ]
    described = json.loads((out / "preprocessing.json").read_text())
    volumes = 3 * torch.rand(described["shape"], generator=torch.Generator().manual_seed(9)) - 1
    model = leaving(run)
    assert model.segmenter is not None
    with torch.no_grad():
        expected = {
            "encoder.onnx": list(model.backbone.encode(volumes)),
            "segmentation.onnx": [model.segmenter(volumes)],
        }
    assert described["graphs"].keys() == expected.keys()
    for name, outputs in described["graphs"].items():
        session = runtime.InferenceSession(out / name, providers=["CPUExecutionProvider"])
        found = session.run(outputs, {described["input"]: volumes.numpy()})
        for ours, theirs in zip(expected[name], found, strict=True):
            torch.testing.assert_close(ours, torch.from_numpy(theirs), atol=1e-4, rtol=1e-4)
    assert described["spacing_mm"] == [1.0, 1.0, 2.0]
    assert described["ct"] == {"window_hu": [-100.0, 300.0], "becomes": [0, 1], "clipped": True}
    assert described["labels"] == {"0": "background", "1": "liver", "2": "tumor"}


def test_without_the_packages_it_says_which_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_model(tmp_path / "run")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(SelfscanError, match=r"no package onnx .*pip install selfscan\[onnx\]"):
        export(run, tmp_path / "out", to="onnx")
    assert not (tmp_path / "out").exists()
