from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from selfscan.scans.formats.copies import without_copies
from selfscan.scans.formats.slices import read_slice_header


def slice_file(path: Path, value: int, *, uid="1.2.3.4", place="0\\0\\0"):
    image = SimpleITK.GetImageFromArray(np.full((1, 4, 5), value, dtype=np.int16))
    fields = {"0008|0018": uid, "0020|0032": place, "0008|0060": "CT", "0020|000e": "1.2"}
    fields |= {"0008|0016": "1.2.840.10008.5.1.4.1.1.2", "0020|000d": "1.2.3"}
    for tag, text in fields.items():
        image.SetMetaData(tag, text)
    writer = SimpleITK.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.SetFileName(str(path))
    writer.Execute(image)
    return read_slice_header(path)


@pytest.mark.parametrize(
    ("second", "copies"),
    [({"value": 3}, 1), ({"value": 4}, 0), ({"value": 3, "uid": "1.2.3.5"}, 0)],
)
def test_copies_share_identifier_place_and_pixels(tmp_path, second, copies):
    headers = [
        slice_file(tmp_path / "a.dcm", 3),
        slice_file(tmp_path / "b.dcm", **second),
        slice_file(tmp_path / "c.dcm", 3, place="0\\0\\1"),
    ]
    kept, counted = without_copies(headers)
    assert counted == copies
    assert kept[0] is headers[0]
    assert kept[-1] is headers[-1]
    assert len(kept) == 3 - copies
