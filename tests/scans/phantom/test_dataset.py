from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
import pytest

from selfscan.errors import SelfscanError
from selfscan.scans.find import find
from selfscan.scans.phantom import PHANTOM_LABELS, write_phantoms

COARSE_MM = (12.0, 12.0, 14.0)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("phantoms") / "out"
    return write_phantoms(out, cases=5, labelled=4, seed=5, spacing_mm=COARSE_MM)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_folder_is_laid_out_for_nnunet(written: Path) -> None:
    assert _names(written) == [
        "dataset.json",
        "imagesTr",
        "imagesTs",
        "imagesUn",
        "labelsTr",
        "labelsTs",
        "splits.json",
    ]
    splits = json.loads((written / "splits.json").read_text())
    assert {split: len(names) for split, names in splits.items()} == {
        "train": 2,
        "validation": 1,
        "test": 1,
        "pretrain": 1,
    }
    training = sorted(splits["train"] + splits["validation"])
    assert _names(written / "imagesTr") == [f"{name}_0000.nii.gz" for name in training]
    assert _names(written / "labelsTr") == [f"{name}.nii.gz" for name in training]
    assert _names(written / "imagesUn") == [f"{name}.nii.gz" for name in splits["pretrain"]]
    description = json.loads((written / "dataset.json").read_text())
    assert description["channel_names"] == {"0": "CT"}
    assert description["numTraining"] == 3
    assert description["labels"] == {name: number for number, name in PHANTOM_LABELS.items()}
    assert description["file_ending"] == ".nii.gz"


def test_images_and_labels_share_a_grid_in_millimeters(written: Path) -> None:
    name = json.loads((written / "splits.json").read_text())["test"][0]
    image = nibabel.load(written / "imagesTs" / f"{name}_0000.nii.gz")
    labels = nibabel.load(written / "labelsTs" / f"{name}.nii.gz")
    assert image.get_data_dtype() == np.int16
    assert labels.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(image.affine, labels.affine)
    assert nibabel.aff2axcodes(image.affine) == ("R", "A", "S")
    assert image.header.get_xyzt_units()[0] == "mm"
    assert image.header.get_zooms() == pytest.approx(COARSE_MM)


def test_the_search_for_scans_finds_every_case(written: Path) -> None:
    found = find([written, written / "imagesUn"])
    assert not found.unusable
    assert len(found.sources) == 5
    assert sum(source.labels is not None for source in found.sources) == 4
    splits = json.loads((written / "splits.json").read_text())
    assert {source.name for source in found.sources} == set().union(*splits.values())
    assert found.label_names == PHANTOM_LABELS


@pytest.mark.slow
def test_threads_change_nothing_and_seeds_everything(tmp_path: Path) -> None:
    chest_mm = (200.0, 200.0, 200.0)
    scans = []
    for seed, workers in ((5, 1), (5, 2), (6, 1)):
        out = tmp_path / f"{seed}-{workers}"
        write_phantoms(
            out,
            cases=3,
            labelled=3,
            seed=seed,
            spacing_mm=COARSE_MM,
            field_mm=chest_mm,
            workers=workers,
        )
        scans.append(np.asarray(nibabel.load(out / "imagesTr/phantom_000_0000.nii.gz").dataobj))
    first, again, different = scans
    np.testing.assert_array_equal(first, again)
    assert (first != different).mean() > 0.5


@pytest.mark.parametrize(("cases", "labelled"), [(10, 2), (4, 5), (4, None)])
def test_too_few_or_too_many_labels_are_refused(
    tmp_path: Path, cases: int, labelled: int | None
) -> None:
    with pytest.raises(ValueError, match=f"of cases={cases}"):
        write_phantoms(tmp_path / "out", cases=cases, labelled=labelled)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_refused(written: Path) -> None:
    with pytest.raises(SelfscanError, match="not empty"):
        write_phantoms(written, cases=3, labelled=3)


def test_chosen_organs_are_renumbered_and_the_rest_is_background(tmp_path: Path) -> None:
    def first_labels(folder: Path) -> npt.NDArray[np.uint8]:
        return np.asarray(nibabel.load(min((folder / "labelsTr").iterdir())).dataobj)

    make = partial(write_phantoms, cases=3, labelled=3, spacing_mm=COARSE_MM)
    whole = first_labels(make(tmp_path / "all"))
    chosen = make(tmp_path / "some", organs=("liver", "lungs"))
    labels = json.loads((chosen / "dataset.json").read_text())["labels"]
    assert labels == {"background": 0, "liver": 1, "lungs": 2}
    some = first_labels(chosen)
    number_of = {name: number for number, name in PHANTOM_LABELS.items()}
    assert np.array_equal(some == 1, whole == number_of["liver"])
    assert np.array_equal(some == 2, whole == number_of["lungs"])
    assert set(np.unique(some)) == {0, 1, 2}


def test_unknown_organs_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"organs must be among lungs, .*, got brain"):
        write_phantoms(tmp_path / "out", cases=3, labelled=3, organs=("lungs", "brain"))
    assert not (tmp_path / "out").exists()
