import json

import pytest

from selfscan.errors import ScanError, SelfscanError
from selfscan.scans.find import Source, find


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(128) + b"DICM" if "slice" in name else b"scan")
    return folder


def names(found):
    return [source.name for source in found.sources]


def test_a_folder_a_file_and_dicom_slices_together(tmp_path):
    folder = touch(tmp_path / "a", "x.nii.gz", "deep/y.mha")
    touch(tmp_path, "z.nrrd", "series/slice1", "series/slice2")
    slices = sorted((tmp_path / "series").iterdir())
    found = find([folder, tmp_path / "z.nrrd", *slices])
    assert names(found)[:3] == ["x", "deep__y", "z"]
    assert found.sources[3].kind == "dicom"
    assert found.sources[3].images == tuple(slices)
    assert found.unusable == []


def test_the_order_and_the_names_are_the_same_each_time(tmp_path):
    folder = touch(tmp_path, *(f"{letter}/{n}.nii" for letter in "cab" for n in (2, 10, 1)))
    assert names(find([folder])) == names(find([str(folder)]))
    assert names(find([folder])) == sorted(names(find([folder])))


def test_what_is_missing_unknown_or_listed_twice_is_unusable(tmp_path):
    folder = touch(tmp_path, "a.nii", "b.npy", "c.png")
    (tmp_path / "link.nii").symlink_to(tmp_path / "a.nii")
    paths = ["a.nii", "gone.nii", "b.npy", "c.png", "link.nii"]
    found = find([folder / path for path in paths])
    assert names(found) == ["a"]
    reasons = {wrong.path.name: wrong.reason for wrong in found.unusable}
    assert set(reasons) == {"gone.nii", "b.npy", "c.png", "link.nii"}
    assert "no such file" in reasons["gone.nii"]
    assert ".nii.gz" in reasons["b.npy"]
    assert "listed twice" in reasons["link.nii"]


def test_a_series_is_listed_once_whether_by_folder_or_slices(tmp_path):
    folder = touch(tmp_path / "series", "slice1", "slice2")
    found = find([folder, folder / "slice1"])
    assert len(found.sources) == 1
    assert "listed twice" in found.unusable[0].reason


def test_a_dicomdir_leads_to_its_folder_and_is_no_scan(tmp_path):
    touch(tmp_path, "disc/DICOM/slice1", "disc/DICOM/slice2", "disc/README.TXT")
    (tmp_path / "disc" / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    for given in (tmp_path, tmp_path / "disc" / "DICOMDIR"):
        found = find([given])
        assert [source.images for source in found.sources] == [(tmp_path / "disc" / "DICOM",)]
        assert found.unusable == []


def test_equal_names_get_a_digest_that_other_cases_do_not_change(tmp_path):
    touch(tmp_path, "a/scan.nii", "b/SCAN.nii", "c/scan.nii", "d/other.nii")
    two = find([tmp_path / "a" / "scan.nii", tmp_path / "b" / "SCAN.nii"])
    three = find([tmp_path / folder for folder in "abcd"])
    assert set(names(two)) <= set(names(three))
    assert len(set(map(str.casefold, names(three)))) == 4
    assert "other" in names(three)


def test_labels_in_a_folder_of_equal_names(tmp_path):
    touch(tmp_path / "images", "a.nii.gz", "sub/b.nii", "c.mha", "series/slice1")
    touch(tmp_path / "maps", "a.nrrd", "sub/b.nii.gz", "series.nii.gz", "z.nii.gz")
    found = find([tmp_path / "images"], labels=tmp_path / "maps")
    labels = {source.images[0].name: source.labels for source in found.sources}
    assert labels["a.nii.gz"] == tmp_path / "maps" / "a.nrrd"
    assert labels["b.nii"] == tmp_path / "maps" / "sub" / "b.nii.gz"
    assert labels["c.mha"] is None
    assert labels["series"] == tmp_path / "maps" / "series.nii.gz"
    assert [wrong.path.name for wrong in found.unusable] == ["z.nii.gz"]


def test_labels_inside_the_image_folder_are_no_images(tmp_path):
    touch(tmp_path, "a.nii", "maps/a.nii")
    (source,) = find([tmp_path], labels=tmp_path / "maps").sources
    assert source == Source("a", (tmp_path / "a.nii",), tmp_path / "maps" / "a.nii")


def test_labels_of_files_given_one_by_one(tmp_path):
    touch(tmp_path, "images/a.nii", "images/b.nii", "maps/a.nii", "maps/b.nii")
    images = sorted((tmp_path / "images").iterdir())
    found = find(images, labels=tmp_path / "maps")
    assert [source.labels.name for source in found.sources] == ["a.nii", "b.nii"]
    assert found.unusable == []


def test_a_label_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ScanError, match="a folder of label maps"):
        find([tmp_path], labels=tmp_path / "none")


def test_data_sets_that_name_labels_differently_are_an_error(tmp_path):
    for name, organ in (("one", "liver"), ("two", "spleen")):
        touch(tmp_path / name, "a.nii")
        content = {"labels": {"1": organ}, "training": [{"image": "a.nii"}]}
        (tmp_path / name / "list.json").write_text(json.dumps(content))
    with pytest.raises(SelfscanError, match="label 1 is 'liver' in one data set and 'spleen'"):
        find([tmp_path / "one" / "list.json", tmp_path / "two" / "list.json"])


def test_names_with_four_digits_do_not_make_a_decathlon_folder_one_of_nnunet(tmp_path):
    touch(tmp_path, "imagesTr/amos_0000.nii.gz", "imagesTr/amos_0001.nii.gz")
    listed = [{"image": f"./imagesTr/amos_000{n}.nii.gz"} for n in (0, 1)]
    (tmp_path / "dataset.json").write_text(json.dumps({"training": listed}))
    assert names(find([tmp_path])) == ["amos_0000", "amos_0001"]


def test_a_list_without_channel_numbers_leads_to_the_nnunet_folder(tmp_path):
    touch(tmp_path, "imagesTr/liver_1_0000.nii.gz", "labelsTr/liver_1.nii.gz")
    listed = [{"image": "./imagesTr/liver_1.nii.gz", "label": "./labelsTr/liver_1.nii.gz"}]
    content = {"training": listed, "modality": {"0": "CT"}}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    (source,) = find([tmp_path]).sources
    assert source.name == "liver_1"
    assert source.modality == ("ct",)


def test_real_data_sets(data_folder):
    hippocampus = find([data_folder / "hippocampus"])
    assert len(hippocampus.sources) == 260
    assert hippocampus.unusable == []
    assert hippocampus.label_names == {0: "background", 1: "anterior", 2: "posterior"}
    assert {(s.split, s.modality) for s in hippocampus.sources} == {("train", ("mr",))}
    head = find([data_folder / "headneck_ct", data_folder / "headneck_ct" / "imagesUn"])
    assert len(head.sources) == 182
    assert sum(source.labels is not None for source in head.sources) == 100


def test_the_ingest_folder_is_found_whole(data_folder):
    found = find([data_folder / "ingest"])
    assert len({source.name for source in found.sources}) == len(found.sources)
    assert {"pair.raw", "manifest.json", "notes.txt"}.isdisjoint(
        image.name for source in found.sources for image in source.images
    )
    assert {"array.npy", "tiny.mnc", "test.mgz"} <= {wrong.path.name for wrong in found.unusable}
    assert sum(source.kind == "dicom" for source in found.sources) == 23
