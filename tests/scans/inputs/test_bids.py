import json

import pytest

from selfscan.scans.inputs.bids import is_bids, read_bids


@pytest.fixture
def data_set(tmp_path):
    files = [
        "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz",
        "sub-01/ses-1/anat/sub-01_ses-1_T1w.json",
        "sub-01/ses-1/func/sub-01_ses-1_task-rest_sbref.nii.gz",
        "sub-01/ses-1/func/sub-01_ses-1_task-rest_events.tsv",
        "sub-01/ses-1/fmap/sub-01_ses-1_phasediff.nii.gz",
        "sub-01/ses-2/pet/sub-01_ses-2_pet.nii.gz",
        "sub-02/anat/sub-02_CT.nii.gz",
        "sub-02/anat/sub-02_space-orig_dseg.nii.gz",
        "sub-02/anat/sub-02_T1w_defacemask.nii.gz",
        "sub-02/dwi/sub-02_dwi.bval",
        "derivatives/tool/sub-01/anat/sub-01_desc-brain_T1w.nii.gz",
        "sourcedata/sub-01/raw.nii.gz",
        "template.nii.gz",
    ]
    for name in files:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}")
    about = {"Name": "two", "BIDSVersion": "1.9.0"}
    (tmp_path / "dataset_description.json").write_text(json.dumps(about))
    return tmp_path


def test_scans_of_the_data_types_with_their_modality(data_set):
    found = read_bids(data_set)
    assert {source.name: source.modality for source in found.sources} == {
        "sub-01__ses-1__anat__sub-01_ses-1_T1w": ("mr",),
        "sub-01__ses-1__func__sub-01_ses-1_task-rest_sbref": ("mr",),
        "sub-01__ses-2__pet__sub-01_ses-2_pet": ("pt",),
        "sub-02__anat__sub-02_CT": ("ct",),
    }


def test_what_is_left_aside_is_named_once_with_its_reason(data_set):
    reasons = {
        wrong.path.relative_to(data_set).as_posix(): wrong.reason
        for wrong in read_bids(data_set).unusable
    }
    assert reasons.keys() == {
        "derivatives",
        "sourcedata",
        "template.nii.gz",
        "sub-01/ses-1/fmap/sub-01_ses-1_phasediff.nii.gz",
        "sub-02/anat/sub-02_space-orig_dseg.nii.gz",
        "sub-02/anat/sub-02_T1w_defacemask.nii.gz",
    }
    assert "computed from the scans" in reasons["derivatives"]
    assert "'fmap'" in reasons["sub-01/ses-1/fmap/sub-01_ses-1_phasediff.nii.gz"]
    assert "label map" in reasons["sub-02/anat/sub-02_space-orig_dseg.nii.gz"]


def test_only_a_description_with_a_version_makes_a_data_set(data_set, tmp_path):
    assert is_bids(data_set)
    (data_set / "dataset_description.json").write_text('{"Name": "other"}')
    assert not is_bids(data_set)
    assert not is_bids(data_set / "sub-01")
