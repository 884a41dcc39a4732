from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from selfscan.scans.preparation.modality import guess_modality
from selfscan.scans.read import read

KNOWN = {
    "body/ct_chest_3mm/image.nii.gz": "ct",
    "body/ct_spleen_5mm/image.nii.gz": "ct",
    "body/ct_trunk_3mm/image.nii.gz": "ct",
    "body/mr_slab_3mm/image.nii.gz": "other",
    "brain_mri/IXI012_T1.nii.gz": "other",
    "mouse_brain_mri/fvb_1.nii.gz": "other",
    "sarcoma_petctmr/STS_008_CT_image.nii.gz": "ct",
    "sarcoma_petctmr/STS_008_MR_T1_image.nii.gz": "other",
    "sarcoma_petctmr/STS_008_PET_image.nii.gz": "other",
    "spine_mri/t2.nii.gz": "other",
    "ingest/nifti/anat.nii": "other",
    "ingest/nifti/little_endian.nii.gz": "other",
}


@pytest.mark.parametrize(("name", "modality"), KNOWN.items())
def test_real_scans_are_told_apart(data_folder: Path, name: str, modality: str) -> None:
    assert guess_modality(read(data_folder / name).voxels[0]) == modality


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "modality"),
    [
        ("headneck_ct/imagesTr", "ct"),
        ("headneck_ct/imagesUn", "ct"),
        ("hippocampus/imagesTr", "other"),
    ],
)
def test_whole_data_sets_are_told_apart(data_folder: Path, folder: str, modality: str) -> None:
    files = sorted((data_folder / folder).glob("*.nii.gz"))
    assert {guess_modality(read(file).voxels[0]) for file in files} == {modality}


def test_values_that_only_look_like_ct_are_not(random) -> None:
    phase = random.integers(-4096, 4096, (30, 30, 30)).astype(np.int16)
    assert guess_modality(phase) == "other"
    ringing = np.abs(random.normal(0, 300, (30, 30, 30)))
    ringing[:3] = -600
    assert guess_modality(ringing) == "other"
    assert guess_modality(random.normal(0, 1, (30, 30, 30))) == "other"


def test_ct_may_be_padded_and_interpolated(random) -> None:
    scan = np.full((30, 30, 30), -1000.0)
    scan[8:22, 8:22] = random.normal(40, 50, (14, 14, 30))
    scan[10:12, 10:12] = 900.5
    assert guess_modality(scan) == "ct"
    scan[:3] = -3024
    assert guess_modality(scan) == "ct"
