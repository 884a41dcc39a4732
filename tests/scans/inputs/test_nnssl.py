import json

import pytest

from selfscan.errors import ScanError
from selfscan.scans.find import find


def write(folder, *paths, key="datasets", modality="T1w"):
    """A list with one session; each path is an image of a subject of its own, s0, s1, ..."""
    subjects = {
        f"s{number}": {
            "subject_id": f"s{number}",
            "sessions": {
                "ses/1": {
                    "images": [
                        {
                            "name": f"scan {number}.nii.gz",
                            "image_path": path,
                            "modality": modality,
                            "image_info": {},
                            "associated_masks": {"anatomy_mask": "m.nii.gz"},
                        }
                    ]
                }
            },
        }
        for number, path in enumerate(paths)
    }
    data_set = {"dataset_index": "ds7", "subjects": subjects}
    content = {"collection_name": "all", "datasets": {"ds7": data_set}}
    file = folder / "pretrain_data.json"
    file.write_text(json.dumps(content if key == "datasets" else data_set))
    return file


def scan(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"scan")
    return path


@pytest.mark.parametrize("key", ["datasets", "subjects"])
def test_images_keep_subject_and_modality(tmp_path, key):
    scan(tmp_path / "data" / "a.nii.gz")
    far = scan(tmp_path / "far" / "b.nii.gz")
    listed = tmp_path / "list"
    listed.mkdir()
    file = write(listed, "../data/a.nii.gz", str(far), key=key)
    for given in (file, listed):
        found = find([given])
        assert found.unusable == []
        assert [source.name for source in found.sources] == [
            "ds7__s0__ses-1__scan-0",
            "ds7__s1__ses-1__scan-1",
        ]
        assert [source.subject for source in found.sources] == ["ds7/s0", "ds7/s1"]
        assert {source.modality for source in found.sources} == {("mr",)}
        assert found.sources[0].images == (tmp_path / "data" / "a.nii.gz",)


def test_variables_are_filled_in_or_asked_for(tmp_path, monkeypatch):
    scan(tmp_path / "raw" / "a.nii.gz")
    file = write(tmp_path, "$nnssl_raw/a.nii.gz", modality="CT")
    monkeypatch.delenv("nnssl_raw", raising=False)
    with pytest.raises(ScanError, match=r"\$nnssl_raw, which is not set.*export nnssl_raw=FOLDER"):
        find([file])
    monkeypatch.setenv("nnssl_raw", str(tmp_path / "raw"))
    (source,) = find([file]).sources
    assert source.images == (tmp_path / "raw" / "a.nii.gz",)
    assert source.modality == ("ct",)


def test_missing_images_are_unusable_and_others_stay(tmp_path):
    scan(tmp_path / "a.nii.gz")
    found = find([write(tmp_path, "a.nii.gz", "gone.nii.gz", "b.b2nd")])
    assert len(found.sources) == 1
    assert [wrong.path.name for wrong in found.unusable] == ["gone.nii.gz", "b.b2nd"]


@pytest.mark.parametrize("content", [{"datasets": {"1": {}}}, {"subjects": {"s": 3}}])
def test_a_list_that_is_built_otherwise_is_refused(tmp_path, content):
    file = tmp_path / "pretrain_data.json"
    file.write_text(json.dumps(content))
    with pytest.raises(ScanError, match="built otherwise"):
        find([file])
