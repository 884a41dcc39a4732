from __future__ import annotations

from pathlib import Path

import pytest

from selfscan.errors import SelfscanError
from selfscan.files import claim_folder, written_atomically


def test_a_new_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    assert claim_folder(tmp_path / "a" / "b").is_dir()


def test_a_folder_with_content_is_refused_unless_told_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "result").write_text("kept")
    with pytest.raises(SelfscanError, match=r"not empty; give --resume .* --overwrite"):
        claim_folder(tmp_path, resume=False)
    with pytest.raises(SelfscanError, match=r"not empty; give --overwrite"):
        claim_folder(tmp_path)
    claim_folder(tmp_path, resume=True)
    assert (tmp_path / "result").read_text() == "kept"
    claim_folder(tmp_path, overwrite=True)
    assert list(tmp_path.iterdir()) == []


def test_resume_and_overwrite_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(SelfscanError, match="choose one"):
        claim_folder(tmp_path, resume=True, overwrite=True)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(SelfscanError, match="found a file"):
        claim_folder(tmp_path / "out", overwrite=True)


def test_a_file_appears_whole_and_keeps_its_suffix(tmp_path: Path) -> None:
    target = tmp_path / "volume.nii.gz"
    with written_atomically(target) as temporary:
        assert temporary.name.endswith(".nii.gz")
        temporary.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "index"
    target.write_text("old")

    def interrupted_write() -> None:
        with written_atomically(target) as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        interrupted_write()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_what_a_writer_keeps_to_itself_has_the_mode_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with written_atomically(tmp_path / "whole") as temporary:
        temporary.touch(mode=0o600)
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "plain").stat().st_mode
