import pytest

from selfscan.errors import ScanError
from selfscan.scans.inputs.description import label_names, modalities, read_json


@pytest.mark.parametrize(
    "labels",
    [
        {"0": "background", "2": "liver", "1": "spleen"},
        {"background": 0, "spleen": 1, "liver": 2},
        {"background": "0", "spleen": "1", "liver": "2"},
        ["background", "spleen", "liver"],
    ],
)
def test_label_names_either_way_round(labels):
    names = {0: "background", 1: "spleen", 2: "liver"}
    assert label_names({"labels": labels}) == names
    assert list(label_names({"labels": labels})) == [0, 1, 2]


def test_regions_of_several_values_name_no_class():
    assert label_names({"labels": {"background": 0, "whole": [1, 2], "core": 2}}) == {
        0: "background",
        2: "core",
    }
    assert label_names({}) == {}


def test_modality_of_each_channel():
    content = {"modality": {"0": "MRI", "1": "??"}, "channel_names": {"1": "CT", "2": "noNorm"}}
    assert modalities(content, 3) == ("mr", "ct", None)
    assert modalities({}, 1) == (None,)


@pytest.mark.parametrize(
    ("text", "found"), [("{", "no JSON"), ("[1]", "a JSON list"), (None, "cannot be opened")]
)
def test_files_that_describe_nothing_are_refused(tmp_path, text, found):
    path = tmp_path / "dataset.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ScanError, match=found):
        read_json(path)
