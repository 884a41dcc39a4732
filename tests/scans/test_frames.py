"""Files that stand where a volume should and would have Blosc2 do more than decode numbers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import blosc2
import numpy as np
import pytest

from selfscan.errors import ScanError
from selfscan.scans.frames import read_frame
from selfscan.scans.volumes import VolumeFiles, write_volume

_FORMAT = 2  # of a chunk's header: the byte with the codec
_PLUGIN = 22
_GROK = 37
READ = """
import sys
from pathlib import Path
from selfscan.scans.volumes import VolumeFiles
VolumeFiles().read(Path(sys.argv[1]), None, None, 0)
"""
OPEN = "import sys, blosc2; blosc2.open(sys.argv[1])[...]"


def written(folder: Path) -> Path:
    voxels = np.random.default_rng(0).integers(-900, 900, (1, 70, 40, 33)).astype(np.int16)
    write_volume(folder / "a.b2nd", voxels)
    return folder / "a.b2nd"


def with_plugin(path: Path, at: int) -> None:
    """Have the chunk whose header is there name a codec of a plugin."""
    content = bytearray(path.read_bytes())
    content[at + _FORMAT] = content[at + _FORMAT] & 0b11111 | 6 << 5
    content[at + _PLUGIN] = _GROK
    path.write_bytes(content)


def index_of(path: Path) -> int:
    content = path.read_bytes()
    return int.from_bytes(content[11:15], "big") + int.from_bytes(content[39:47], "big")


def refused(path: Path) -> str:
    with pytest.raises(ScanError) as caught:
        VolumeFiles().read(path, None, None, 0)
    assert caught.value.path == path
    return caught.value.found


def run(program: str, path: Path, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], cwd=folder, capture_output=True, text=True
    )
    return done.stderr


def test_no_plugin_runs_code_of_the_current_folder(tmp_path: Path) -> None:
    """Blosc2 asks Python in the current folder, perhaps that of a store, where a plugin lies."""
    path = written(tmp_path)
    with_plugin(path, int(read_frame(path).places[-1]))
    (tmp_path / "blosc2_grok.py").write_text("open('ran', 'w')")
    said = run(READ, path, tmp_path)
    assert "found a chunk that needs a plugin of Blosc2" in said
    assert not (tmp_path / "ran").exists()
    run(OPEN, path, tmp_path)
    assert (tmp_path / "ran").exists(), "the attack itself no longer works: can the check go?"


def test_the_index_of_chunks_needs_no_plugin_either(tmp_path: Path) -> None:
    path = written(tmp_path)
    with_plugin(path, index_of(path))
    assert refused(path) == "a chunk that needs a plugin of Blosc2"


def test_only_chunks_that_are_read_are_looked_at(tmp_path: Path) -> None:
    path = written(tmp_path)
    with_plugin(path, int(read_frame(path).places[-1]))
    assert VolumeFiles().read(path, (0, 0, 0), (64, 40, 33), 0).shape == (1, 64, 40, 33)
    with pytest.raises(ScanError, match="plugin"):
        VolumeFiles().read(path, (0, 0, 0), (65, 40, 33), 0)


def expression(path: Path) -> None:
    """An expression that would be evaluated, over an array elsewhere."""
    elsewhere = blosc2.asarray(np.ones((4, 4, 4)), urlpath=str(path.parent / "b.b2nd"))
    (elsewhere + 1).save(str(path))


def proxy(path: Path) -> None:
    """A place elsewhere to read from."""
    source = blosc2.asarray(np.ones((4, 4, 4), np.int16), urlpath=str(path.parent / "b.b2nd"))
    blosc2.Proxy(source, urlpath=str(path), mode="w").fetch()


def objects(path: Path) -> None:
    blosc2.ObjectArray(urlpath=str(path), mode="w", contiguous=True).append({"a": 1})


def bare(path: Path) -> None:
    blosc2.SChunk(data=bytes(100), urlpath=str(path), mode="w", contiguous=True)


def sparse(path: Path) -> None:
    blosc2.asarray(np.ones((4, 4, 4)), urlpath=str(path), contiguous=False, mode="w")


def with_attributes(path: Path) -> None:
    array = blosc2.asarray(np.ones((4, 4, 4)), urlpath=str(path), mode="w")
    array.schunk.vlmeta["a"] = "b"


def structures(path: Path) -> None:
    array = np.zeros((4, 4, 4), [("a", "i4"), ("b", "f8")])
    blosc2.asarray(array, urlpath=str(path), mode="w")


@pytest.mark.parametrize(
    "write", [expression, proxy, objects, bare, sparse, with_attributes, structures]
)
def test_what_is_more_than_an_array_is_refused(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    write(tmp_path / "a.b2nd")
    refused(tmp_path / "a.b2nd")


@pytest.mark.parametrize(
    ("shape", "chunks"),
    [
        ((40_000, 40_000, 40_000), (64, 64, 64)),  # 64 TB of zeros in a few hundred bytes
        ((1290, 1290, 1290), (4, 4, 4)),  # 270 MB of places of chunks
        ((1024, 1024, 64), (1024, 1024, 64)),  # one voxel for the price of all
    ],
)
def test_small_files_that_claim_much_are_refused_before_they_are_opened(
    shape: tuple[int, ...], chunks: tuple[int, ...], tmp_path: Path, monkeypatch
) -> None:
    path = tmp_path / "a.b2nd"
    blocks = tuple(min(32, side) for side in chunks)
    blosc2.zeros(shape, "i2", chunks=chunks, blocks=blocks, urlpath=str(path))
    assert path.stat().st_size < 1000
    monkeypatch.setattr(blosc2, "open", lambda *_, **__: pytest.fail("opened"))
    refused(path)


def test_a_chunk_of_other_size_than_the_layout_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    content = bytearray(path.read_bytes())
    at = int(read_frame(path).places[0])
    content[at + 4 : at + 8] = (1 << 30).to_bytes(4, "little")
    path.write_bytes(content)
    assert "a chunk of other than" in refused(path)


def test_numbers_that_are_not_numpys_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    content = path.read_bytes()
    assert content.count(b"\x00\xdb\x00\x00\x00\x03<i2") == 1
    path.write_bytes(content.replace(b"\x00\xdb\x00", b"\x01\xdb\x00"))
    assert refused(path) == "no header of a Blosc2 array"
