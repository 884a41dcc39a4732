import json

from selfscan.scans.inputs.nnunet import is_nnunet, read_nnunet


def write(folder, content, *files):
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"scan")
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def test_cases_channels_labels_and_splits(tmp_path):
    content = {
        "channel_names": {"0": "CT", "1": "PET"},
        "labels": {"background": 0, "tumor": 1},
        "file_ending": ".nrrd",
    }
    scans = [f"images{part}_{n:04d}.nrrd" for part in ("Tr/a_1", "Tr/b_2", "Ts/c") for n in (0, 1)]
    folder = write(tmp_path, content, *scans, "labelsTr/a_1.nrrd")
    assert is_nnunet(folder)
    found = read_nnunet(folder)
    assert [(s.name, s.split, s.labels) for s in found.sources] == [
        ("a_1", "train", folder / "labelsTr" / "a_1.nrrd"),
        ("b_2", "train", None),
        ("c", "test", None),
    ]
    assert [image.name for image in found.sources[0].images] == ["a_1_0000.nrrd", "a_1_0001.nrrd"]
    assert found.sources[0].modality == ("ct", "pt")
    assert found.label_names == {0: "background", 1: "tumor"}
    assert found.unusable == []


def test_what_does_not_fit_is_named(tmp_path):
    folder = write(
        tmp_path,
        {"channel_names": {"0": "T1", "1": "T2"}, "file_ending": ".nii.gz"},
        "imagesTr/a_0000.nii.gz",
        "imagesTr/b.nii.gz",
        "imagesTr/._c_0000.nii.gz",
        "labelsTr/z.nii.gz",
    )
    found = read_nnunet(folder)
    assert found.sources == []
    reasons = {wrong.path.name: wrong.reason for wrong in found.unusable}
    assert "2 channels of each case" in reasons["a_0001.nii.gz"]
    assert "without a channel number" in reasons["b.nii.gz"]
    assert "no image of this label map" in reasons["z.nii.gz"]
    assert len(reasons) == 3


def test_other_folders_are_not_of_nnunet(tmp_path):
    assert not is_nnunet(write(tmp_path, {}, "imagesTr/a.nii.gz"))
