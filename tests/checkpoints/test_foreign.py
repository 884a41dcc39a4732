"""Files of others: their tensors by name, and one clear error for all that is not such a file."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from selfscan.checkpoints.foreign import read_tensors
from selfscan.errors import SelfscanError


class Shell:
    """An object that would run a command as it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("root", ["state_dict", "model", None])
@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_come_back_whatever_lies_beside_them(
    tmp_path: Path, root: str | None, zipped: bool
) -> None:
    tensors = {"a.weight": torch.rand(2, 3), "b": torch.arange(4)}
    beside = {"epoch": 3, "best_acc": np.float64(0.8), "loss": np.float32(0.1), "names": ["a"]}
    content = {**beside, **(tensors if root is None else {root: tensors})}
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    found = read_tensors(tmp_path / "a.pt")
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_numbers_of_an_older_numpy_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    content = {"best_acc": np.float64(0.8), "state_dict": {"a": torch.ones(2)}}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes().replace(b"numpy._core.", b"numpy.core."))
    assert b"numpy.core.multiarray" in path.read_bytes()
    assert read_tensors(path)["a"].tolist() == [1.0, 1.0]


def test_no_code_runs(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    torch.save({"a": torch.ones(1), "b": Shell(mark)}, tmp_path / "a.pt")
    with pytest.raises(SelfscanError, match=r"found \w+\.system, which could run code; expected"):
        read_tensors(tmp_path / "a.pt")
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"hello, world\n", b"PK\x03\x04 no archive"])
def test_what_is_no_file_of_pytorch_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(SelfscanError, match="found no readable file of PyTorch; expected tensors"):
        read_tensors(tmp_path / "a.pt")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_damaged_file_is_refused(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "a.pt"
    torch.save({"a": torch.rand(64)}, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    for length in range(1, len(whole) - 1, len(whole) // 16):
        path.write_bytes(whole[:length])
        with pytest.raises(SelfscanError, match=r"a\.pt: found .*; copy it again"):
            read_tensors(path)


def test_what_holds_no_names_is_refused(tmp_path: Path) -> None:
    torch.save([torch.ones(1)], tmp_path / "a.pt")
    with pytest.raises(SelfscanError, match="found a list; expected tensors by name"):
        read_tensors(tmp_path / "a.pt")
    with pytest.raises(SelfscanError, match="found a folder"):
        read_tensors(tmp_path)
    with pytest.raises(SelfscanError, match="found nothing"):
        read_tensors(tmp_path / "absent.pt")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_archives_that_would_inflate_are_refused_before_they_are_read(
    method: int, tmp_path: Path, monkeypatch
) -> None:
    torch.save({"a": torch.zeros(1000)}, tmp_path / "a.pt")
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as whole,
        zipfile.ZipFile(tmp_path / "b.pt", "w", method) as packed,
    ):
        for member in whole.infolist():
            packed.writestr(member.filename, whole.read(member))
    if method == zipfile.ZIP_STORED:  # all parts in the same place, each claiming all of it
        content = (tmp_path / "b.pt").read_bytes()
        claimed = (4000).to_bytes(4, "little")
        (tmp_path / "b.pt").write_bytes(content.replace(claimed, (1 << 30).to_bytes(4, "little")))
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("read"))
    found = "compressed parts" if method == zipfile.ZIP_DEFLATED else "bytes that claim"
    with pytest.raises(SelfscanError, match=found):
        read_tensors(tmp_path / "b.pt")
