from pathlib import Path

import pytest

from selfscan.scans.formats.suffixes import stem_of, suffix_of


@pytest.mark.parametrize(
    ("name", "suffix", "stem"),
    [
        ("a.nii.gz", ".nii.gz", "a"),
        ("A.NII.GZ", ".nii.gz", "A"),
        ("a.b.nii", ".nii", "a.b"),
        ("scan.v2.nii.gz", ".nii.gz", "scan.v2"),
        ("plain", "", "plain"),
        ("a.gz", ".gz", "a"),
    ],
)
def test_suffix_and_stem(name, suffix, stem):
    path = Path("some.folder") / name
    assert suffix_of(path) == suffix
    assert stem_of(path) == stem
