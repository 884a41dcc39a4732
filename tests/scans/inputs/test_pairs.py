import pytest

from selfscan.scans.inputs.pairs import read_folder


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"scan")
    return folder


@pytest.mark.parametrize(("images", "labels"), [("images", "labels"), ("imagesTr", "labelsTr")])
def test_neighbors_by_name_are_pairs(tmp_path, images, labels):
    folder = touch(tmp_path, f"{images}/a.nii", f"{images}/b.nii", f"{labels}/a.nii.gz", "c.nii")
    found = read_folder(folder)
    paired = {source.name: source.labels for source in found.sources}
    assert paired == {"a": folder / labels / "a.nii.gz", "b": None, "c": None}
    assert found.unusable == []


def test_each_image_folder_has_its_own_labels(tmp_path):
    folder = touch(
        tmp_path,
        *(f"{kind}{part}/{part}.nii" for kind in ("images", "labels") for part in ("Tr", "Ts")),
    )
    assert {source.labels for source in read_folder(folder).sources} == {
        folder / "labelsTr" / "Tr.nii",
        folder / "labelsTs" / "Ts.nii",
    }


def test_a_label_map_without_an_image_is_named(tmp_path):
    folder = touch(tmp_path, "images/a.nii", "labels/z.nii")
    (wrong,) = read_folder(folder).unusable
    assert wrong.path == folder / "labels" / "z.nii"
    assert "no image with the name" in wrong.reason


def test_a_folder_without_pairs_is_walked(tmp_path):
    folder = touch(tmp_path, "labels/a.nii", "b.nii")
    assert [source.name for source in read_folder(folder).sources] == ["b", "labels__a"]
