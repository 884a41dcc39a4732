from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest

from selfscan.scans.frames import BLOCK, CHUNK
from selfscan.scans.volumes import VolumeFiles, write_volume


def test_equal_arrays_give_equal_files(tmp_path: Path, random) -> None:
    volume = random.integers(-1000, 1000, (2, 70, 65, 5)).astype(np.int16)
    write_volume(tmp_path / "a.b2nd", volume)
    write_volume(tmp_path / "b.b2nd", np.asfortranarray(volume))
    assert (tmp_path / "a.b2nd").read_bytes() == (tmp_path / "b.b2nd").read_bytes()
    np.testing.assert_array_equal(VolumeFiles().read(tmp_path / "a.b2nd", None, None, 0), volume)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.b2nd", "b.b2nd"]


def test_chunks_and_blocks_are_as_the_contract_says(tmp_path: Path) -> None:
    blosc2 = pytest.importorskip("blosc2")
    write_volume(tmp_path / "a.b2nd", np.zeros((1, 130, 40, 8), dtype=np.int16))
    array = blosc2.open(str(tmp_path / "a.b2nd"), mode="r")
    assert array.chunks == (1, CHUNK, 40, 8)
    assert array.blocks == (1, BLOCK, BLOCK, 8)
    assert array.schunk.cparams.codec == blosc2.Codec.LZ4


@pytest.mark.slow
def test_memory_stays_flat_over_many_crops(tmp_path: Path, random) -> None:
    volume = random.integers(-1000, 1000, (1, 128, 128, 96)).astype(np.int16)
    paths = [tmp_path / f"{number}.b2nd" for number in range(4)]
    for path in paths:
        write_volume(path, volume)
    files, process = VolumeFiles(), psutil.Process()

    def crop(count: int) -> None:
        for number in range(count):
            x, y, z = random.integers(0, (64, 64, 64)).tolist()
            files.read(paths[number % 4], (x, y, z), (64, 64, 32), 0)

    crop(200)
    before = process.memory_info().rss
    crop(2000)
    assert process.memory_info().rss - before < 8 * 2**20


def test_no_more_files_stay_open_than_allowed(tmp_path: Path) -> None:
    files, before = VolumeFiles(), len(psutil.Process().open_files())
    for number in range(100):
        write_volume(tmp_path / f"{number}.b2nd", np.full((2, 2, 2), number))
    for _ in range(2):
        for number in range(100):
            assert files.read(tmp_path / f"{number}.b2nd", None, None, 0).max() == number
    assert len(psutil.Process().open_files()) - before < 80
