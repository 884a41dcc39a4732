"""The verb `export`: whole or not there, and the forms that cannot hold a network say so."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_models import RESENC, write_model

from selfscan import cli
from selfscan.errors import SelfscanError
from selfscan.exits import leaving
from selfscan.exits.export import export


def test_the_command_line_writes_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_model(tmp_path / "run")
    assert cli.main(["export", str(run), str(tmp_path / "out"), "--to", "safetensors"]) == 0
    told = capsys.readouterr().err
    assert "written for safetensors; read again, outputs differ by 0 at most" in told
    assert "Ask before any use." in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]


def test_outputs_that_differ_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_model(tmp_path / "run")
    kept = export(run, tmp_path / "kept", to="safetensors")
    monkeypatch.setattr(leaving, "TOLERANCE", -1.0)
    for out, overwrite in ((tmp_path / "out", False), (kept, True)):
        with pytest.raises(SelfscanError, match="found outputs that differ by 0; expected -1"):
            export(run, out, to="safetensors", overwrite=overwrite)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "run"]
    assert (kept / "model.safetensors").exists()


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    run = write_model(tmp_path / "run")
    out = export(run, tmp_path / "out", to="safetensors")
    (out / "mine.txt").touch()
    with pytest.raises(SelfscanError, match="not empty"):
        export(run, out, to="safetensors")
    assert (out / "mine.txt").exists()
    export(run, out, to="safetensors", overwrite=True)
    assert not (out / "mine.txt").exists()


def test_arguments_without_a_meaning_are_refused(tmp_path: Path) -> None:
    run = write_model(tmp_path / "run")
    with pytest.raises(ValueError, match=r"to must be one of safetensors, .*, got 'keras'"):
        export(run, tmp_path / "out", to="keras")  # type: ignore[arg-type]
    with pytest.raises(SelfscanError, match="found nothing"):
        export(tmp_path / "absent", tmp_path / "out", to="onnx")
    with pytest.raises(SelfscanError, match="found a checkpoint of unet3d; expected one of resenc"):
        export(run, tmp_path / "out", to="nnunet")
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_that_lacks_weights_does_not_leave(tmp_path: Path) -> None:
    pytest.importorskip("dynamic_network_architectures")
    from selfscan.checkpoints.checkpoint import load, save

    run = write_model(tmp_path / "run", RESENC, segmentation=False)
    checkpoint = load(run)
    del checkpoint.weights["backbone.encoder.stages.1.blocks.1.conv1.all_modules.1.bias"]
    save(checkpoint, run / "best.safetensors")
    with pytest.raises(SelfscanError, match="expected at least 100%"):
        export(run, tmp_path / "out", to="safetensors")
