import json

import pytest

from selfscan.errors import ScanError
from selfscan.scans.inputs.datalist import listed_images, read_datalist, read_splits


def write(folder, content, *files):
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"scan")
    path = folder / "list.json"
    path.write_text(json.dumps(content))
    return path


def test_keys_are_splits_and_paths_are_relative_to_the_list(tmp_path):
    content = {
        "name": "a set",
        "authors": ["Doe", "Roe"],
        "labels": {"0": "background", "1": "liver"},
        "modality": {"0": "CT"},
        "training": [{"image": "./imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"}],
        "validation": [{"image": "imagesTr/b.nii.gz", "fold": 0}],
        "test": ["./imagesTs/c.nii.gz"],
        "extra": ["p1/t1.nii", "p2/t1.nii"],
    }
    images = ["imagesTr/a.nii.gz", "imagesTr/b.nii.gz", "imagesTs/c.nii.gz"]
    files = [*images, "labelsTr/a.nii.gz", "p1/t1.nii", "p2/t1.nii"]
    path = write(tmp_path, content, *files)
    found = read_datalist(path)
    assert [(source.name, source.split) for source in found.sources] == [
        ("a", "train"),
        ("b", "validation"),
        ("c", "test"),
        ("p1__t1", "extra"),
        ("p2__t1", "extra"),
    ]
    assert found.sources[0].images == (tmp_path / "imagesTr" / "a.nii.gz",)
    assert found.sources[0].labels == tmp_path / "labelsTr" / "a.nii.gz"
    assert found.sources[1].labels is None
    assert {source.modality for source in found.sources} == {("ct",)}
    assert found.label_names == {0: "background", 1: "liver"}
    assert listed_images(path)[0] == found.sources[0].images[0]


def test_channels_are_one_case(tmp_path):
    images = ["images/brain_0000.nii.gz", "images/brain_0001.nii.gz"]
    content = {"modality": {"0": "FLAIR", "1": "PET"}, "training": [{"image": images}]}
    (source,) = read_datalist(write(tmp_path, content, *images)).sources
    assert source.name == "brain"
    assert [image.name for image in source.images] == ["brain_0000.nii.gz", "brain_0001.nii.gz"]
    assert source.modality == ("mr", "pt")


def test_names_are_those_of_links_and_not_of_what_they_lead_to(tmp_path):
    path = write(tmp_path, {"training": ["imagesTr/case.nii"]}, "store/x17.nii")
    (tmp_path / "imagesTr").mkdir()
    (tmp_path / "imagesTr" / "case.nii").symlink_to(tmp_path / "store" / "x17.nii")
    assert read_datalist(path).sources[0].name == "case"


def test_files_that_are_missing_or_unknown_cost_their_case_only(tmp_path):
    cases = [
        {"image": "a.nii"},
        {"image": "gone.nii"},
        {"image": "b.nii", "label": "lost.nii"},
        {"image": "c.npy"},
        {"label": "a.nii"},
    ]
    found = read_datalist(write(tmp_path, {"training": cases}, "a.nii", "b.nii", "c.npy"))
    assert [source.name for source in found.sources] == ["a"]
    wrong = {entry.path.name: entry.reason for entry in found.unusable}
    assert set(wrong) == {"gone.nii", "lost.nii", "c.npy", "list.json"}
    assert "no such file" in wrong["lost.nii"]
    assert "'.npy'" in wrong["c.npy"]
    assert "entry 4 of 'training'" in wrong["list.json"]


def test_a_class_number_is_no_label_map(tmp_path):
    content = {"training": [{"image": "a.nii", "label": 3}]}
    assert read_datalist(write(tmp_path, content, "a.nii")).sources[0].labels is None


def test_a_file_without_cases_is_an_error(tmp_path):
    with pytest.raises(ScanError, match="no list of cases"):
        read_datalist(write(tmp_path, {"training": [], "tags": ["a", "b"]}))


def test_splits_are_lists_of_names_and_nothing_else(tmp_path):
    content = {"seed": 1, "counts": {"a": 1}, "few": {"2": ["a", "b"]}, "train": ["a", "b"]}
    assert read_splits(write(tmp_path, {**content, "val": ["c"]})) == {
        "a": "train",
        "b": "train",
        "c": "validation",
    }


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"train": ["a", "b"], "test": ["b"]}, "the case b in both 'train' and 'test'"),
        ({"seed": 3}, "no list of case names"),
        ([{"train": ["a"]}], "a JSON list"),
    ],
)
def test_splits_that_say_nothing_or_two_things_are_errors(tmp_path, content, found):
    with pytest.raises(ScanError, match=found):
        read_splits(write(tmp_path, content))


def test_splits_of_the_real_sets_name_their_cases(data_folder):
    for name, cases in (("hippocampus", 260), ("headneck_ct", 182)):
        splits = read_splits(data_folder / name / "splits.json")
        assert len(splits) == cases
        assert {"pretrain", "train", "validation", "test"} <= set(splits.values())
    listed = read_datalist(data_folder / "hippocampus" / "dataset.json").sources
    assert {source.name for source in listed} == set(
        read_splits(data_folder / "hippocampus" / "splits.json")
    )
