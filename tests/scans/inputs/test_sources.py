from pathlib import Path

from selfscan.scans.inputs.sources import (
    Found,
    Source,
    Unusable,
    with_unique_names,
    without_repeats,
)


def test_later_sources_that_share_a_file_are_unusable(tmp_path):
    first = Source("a", (tmp_path / "a.nii", tmp_path / "b.nii"))
    second = Source("b", (tmp_path / "c.nii", tmp_path / "b.nii"))
    other = Unusable(tmp_path / "z", "why")
    found = without_repeats(Found([first, second], [other], {1: "liver"}))
    assert found.sources == [first]
    assert [wrong.path.name for wrong in found.unusable] == ["z", "b.nii"]
    assert found.label_names == {1: "liver"}


def test_unique_names_are_kept_and_shared_ones_told_apart():
    sources = [Source(name, (Path(f"/{n}.nii"),)) for n, name in enumerate(["a", "b", "A"])]
    first, second, third = (source.name for source in with_unique_names(sources))
    assert second == "b"
    assert first.startswith("a-")
    assert third.startswith("A-")
    assert first[2:] != third[2:]
    assert with_unique_names(sources[:2]) == sources[:2]
