import json

import pytest

from selfscan.errors import ScanError, SelfscanError
from selfscan.scans.find import find
from selfscan.scans.inputs.trees import read_tree


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(128) + b"DICM" if "slice" in name else b"scan")
    return folder


def describe(folder, content, name="dataset.json"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content))


def nnunet(folder, *, organ="liver"):
    touch(folder, "imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz")
    describe(folder, {"channel_names": {"0": "CT"}, "labels": {"background": 0, organ: 1}})


def test_data_sets_below_a_folder_are_read_as_what_they_are(tmp_path):
    touch(tmp_path, "loose.nrrd", "dicom/s1/slice1", "pairs/imagesTr/p.nii", "pairs/labelsTr/p.nii")
    nnunet(tmp_path / "sets" / "Dataset1")
    touch(tmp_path, "bids/sub-1/anat/sub-1_T1w.nii", "bids/derivatives/sub-1_T1w.nii")
    describe(tmp_path / "bids", {"BIDSVersion": "1.9"}, "dataset_description.json")
    found = find([tmp_path])
    cases = {source.name: source for source in found.sources if source.kind == "file"}
    assert cases.keys() == {
        "loose",
        "pairs__p",
        "sets__Dataset1__a",
        "bids__sub-1__anat__sub-1_T1w",
    }
    assert cases["pairs__p"].labels == tmp_path / "pairs" / "labelsTr" / "p.nii"
    assert cases["sets__Dataset1__a"].split == "train"
    assert cases["sets__Dataset1__a"].modality == ("ct",)
    assert cases["sets__Dataset1__a"].labels.name == "a.nii.gz"
    assert found.label_names == {0: "background", 1: "liver"}
    assert len(found.sources) == 5
    assert [wrong.path for wrong in found.unusable] == [tmp_path / "bids" / "derivatives"]


def test_a_list_that_cannot_be_understood_is_named_and_its_folder_searched(tmp_path):
    touch(tmp_path, "a/x.nii", "b/imagesTr/y.nii", "b/labelsTr/y.nii")
    describe(tmp_path / "a", {"just": "notes"})
    (tmp_path / "b" / "dataset.json").write_text("{")
    found = read_tree(tmp_path)
    assert [source.name for source in found.sources] == ["a__x", "b__y"]
    assert found.sources[1].labels is not None
    assert [wrong.path.parent.name for wrong in found.unusable] == ["a", "b"]
    with pytest.raises(ScanError, match="no list of cases"):
        read_tree(tmp_path / "a")


def test_images_beside_a_list_are_named_unless_their_folder_is_given_too(tmp_path):
    touch(tmp_path, "imagesTr/a.nii", "imagesUn/b.nii", "imagesUn/c.nii")
    describe(tmp_path, {"training": [{"image": "imagesTr/a.nii"}]})
    (wrong,) = find([tmp_path]).unusable
    assert wrong.path == tmp_path / "imagesUn"
    assert "2 image files that dataset.json does not list" in wrong.reason
    both = find([tmp_path, tmp_path / "imagesUn"])
    assert [source.name for source in both.sources] == ["a", "b", "c"]
    assert both.unusable == []


def test_data_sets_that_name_a_label_differently_are_not_mixed(tmp_path):
    nnunet(tmp_path / "one")
    nnunet(tmp_path / "two", organ="spleen")
    with pytest.raises(SelfscanError, match="label 1 is 'liver' in one data set and 'spleen'"):
        read_tree(tmp_path)
