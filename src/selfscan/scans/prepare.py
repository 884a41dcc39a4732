"""The verb `prepare`: files and folders of scans to a store, in parallel, never twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from selfscan.errors import SelfscanError
from selfscan.files import claim_folder, require_writable, written_atomically
from selfscan.progress import console
from selfscan.scans.containment import require_own_entries
from selfscan.scans.contract import PreprocessingContract
from selfscan.scans.crew import cores, stopped_by_signals
from selfscan.scans.dry_run import dry_run as look_only
from selfscan.scans.dry_run import write_table
from selfscan.scans.find import find
from selfscan.scans.index import KeepOrDrop, settle, sweep, write_index
from selfscan.scans.ingesting import ingest_each
from selfscan.scans.inputs.datalist import read_splits
from selfscan.scans.inputs.sources import Found, Source, Unusable
from selfscan.scans.integrity import ScanFiles, find_damage
from selfscan.scans.origins import named, write_origins
from selfscan.scans.preparation.geometry import LabelResampling
from selfscan.scans.preparation.notes import Note, Settings, is_done, note_path, stamp_of
from selfscan.scans.preparation.summary import closing_table
from selfscan.scans.scan import Modality
from selfscan.scans.store import Store

SALT = "salt.txt"


class SomeRejectedError(SelfscanError):
    """The store is done, some input was left out, and the user asked to be told so."""

    exit_code = 3


def prepare(
    source: Path | Sequence[Path],
    out: Path,
    *,
    labels: Path | None = None,
    splits: Path | None = None,
    spacing: tuple[float, float, float] | None = None,
    modality: Literal["auto", "ct", "mr", "pt", "other"] = "auto",
    label_resampling: LabelResampling = "nearest",
    near_duplicates: KeepOrDrop = "keep",
    pseudonyms: bool = False,
    sources_table: Path | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    dry_run: bool = False,
    dry_run_table: Path | None = None,
    strict: bool = False,
    resume: bool = False,
    overwrite: bool = False,
) -> Store | None:
    """Turn files and folders of scans into a store.

    A scan that cannot be used is left out and named with its reason in `rejected.parquet` and in
    the closing table; the others go on. Each worker holds one scan at a time, so memory is bounded
    by workers times the largest scan.

    Nothing of a header that may identify a person is kept: patients' keys are stored as salted
    digests. Scans are named by their files, those of DICOM folders, and with `pseudonyms` all, by
    salted digests. The salt lies in the store: `docs/privacy.md` says what to leave behind where a
    store is passed on.

    Args:
        source: Image files, folders of them, DICOM folders, data sets (nnU-Net, BIDS), JSON lists.
        out: The folder of the store.
        labels: A folder of label maps that have the names of the images.
        splits: A JSON file of lists of case names, one list a split; by default splits are those of
            a data list.
        spacing: Resample to these millimeters along (X, Y, Z); by default scans keep their own.
        modality: What all scans are. `auto` takes headers and data lists, and guesses the rest: CT
            keeps Hounsfield units, anything else is scaled by its percentiles.
        label_resampling: `nearest` or `one-hot-linear`.
        near_duplicates: `keep` scans that are nearly the image of another, with a warning, or
            `drop` all but the first of each group: test cases come first, then validation, then
            labelled scans. Each run decides anew, for all scans of the store.
        pseudonyms: Name all scans by salted digests, where names of files or folders may identify
            a person: ids stand in reports, pages and logs.
        sources_table: A CSV file for which scan came from which files, outside of the store, which
            does not keep that. With `resume` it can be had later.
        workers: Processes on this machine; by default one a core.
        scheduler: Address of a running Dask scheduler whose workers see the same folders.
        dry_run: Only list what would be kept and left out, with reasons. Every scan is read as
            whole as ever; nothing is resampled or written, and `out` is not touched.
        dry_run_table: A CSV file for that list, in full.
        strict: End with an error, after all is done, if something was left out.
        resume: Go on with what `out` holds: only what is new, changed or was left out is done, and
            scans of earlier runs stay.
        overwrite: Delete what `out` holds.

    Returns:
        The store; None after a dry run.

    Raises:
        ValueError: An argument out of range; nothing was done.
        SelfscanError: No scan is usable, or `out` is in the way.
        ContractError: `out` was begun with another preprocessing.
        SomeRejectedError: Something was left out, under `strict`.
    """
    _check("modality", modality, ("auto", *get_args(Modality)))
    _check("label_resampling", label_resampling, get_args(LabelResampling))
    _check("near_duplicates", near_duplicates, get_args(KeepOrDrop))
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    contract = PreprocessingContract(spacing=spacing)
    given = [source] if isinstance(source, str | Path) else list(source)
    out = Path(out).resolve()
    found = find(given, labels=labels)
    _require_apart([*given, *([labels] if labels else [])], out)
    for table in filter(None, (dry_run_table, sources_table)):
        folder = Path(table).parent
        if not folder.is_dir():
            raise SelfscanError(f"{table}: found no folder {folder}; expected one; create it first")
        require_writable(folder)
    settings = Settings(
        contract=contract,
        label_resampling=label_resampling,
        label_values=tuple(sorted(found.label_names)),
        modality=None if modality == "auto" else modality,
        salt=_salt_of(found.sources, None if overwrite else out),
    )
    given_names = [item.name for item in found.sources]
    found.sources = [named(item, settings, pseudonyms=pseudonyms) for item in found.sources]
    if splits is not None:
        found.sources = _in_splits(found.sources, given_names, Path(splits))
    if dry_run or dry_run_table is not None:
        with stopped_by_signals("nothing was written"):
            records, rejected = look_only(
                found,
                settings,
                near=near_duplicates,
                workers=workers or cores(),
                scheduler=scheduler,
            )
        listed = "what --dry_run_table FILE writes" if dry_run_table is None else str(dry_run_table)
        console.print(closing_table(records, rejected, listed_in=listed))
        if dry_run_table is not None:
            write_table(records, rejected, Path(dry_run_table))
        console.print("dry run: nothing was written to the store", highlight=False)
        if strict and rejected:
            raise SomeRejectedError(
                f"found {len(rejected)} inputs that cannot be used; expected none, under --strict"
            )
        return None
    if sources_table is not None:
        _require_apart([sources_table], out)
    claim_folder(out, resume=resume, overwrite=overwrite)
    settings = replace(settings, salt=_claim_store(out, contract, settings.salt))
    with stopped_by_signals("what is done stays in the store; give --resume to go on"):
        notes, rejected = _ingest_all(found, out, settings, workers or cores(), scheduler)
        records, left_out = settle(notes, found.sources, out, settings, near=near_duplicates)
        rejected += left_out
        write_index(out, records, rejected, _label_names(out, found, notes))
        if sources_table is not None:
            write_origins(sources_table, out, records, notes, found.sources, settings)
        sweep(out, records)
    console.print(str(out), soft_wrap=True, markup=False, highlight=False)
    console.print(closing_table(records, rejected))
    if not records:
        raise SelfscanError(
            f"{out}: found no usable scan among {len(rejected)} inputs; expected at least one"
            + (f"; the first reason: {rejected[0].path}: {rejected[0].reason}" if rejected else "")
        )
    if strict and rejected:
        raise SomeRejectedError(
            f"{out}: found {len(rejected)} inputs that cannot be used; expected none, under "
            "--strict; the store holds the others, rejected.parquet the reasons"
        )
    return Store(out)


def _ingest_all(
    found: Found, out: Path, settings: Settings, workers: int, scheduler: str | None
) -> tuple[dict[Path, Note], list[Unusable]]:
    """Ingest what is not in the store yet; all notes by path, and what could not be used."""
    paths = {item: note_path(out, settings, item) for item in found.sources}
    notes, lost = _whole_notes(out, set(paths.values()))
    missing = [
        item
        for item, path in paths.items()
        if path not in notes or not is_done(notes[path], out, stamp_of(settings, item))
    ]
    rejected = [*found.unusable, *lost]
    each = ingest_each(
        missing,
        settings,
        out=out,
        title="prepare",
        done=len(found.sources) - len(missing),
        left_out=len(rejected),
        workers=workers,
        scheduler=scheduler,
    )
    for item, note in each:
        notes[paths[item]] = note
        rejected += note.unusable
    return notes, rejected


def _whole_notes(out: Path, given: Container[Path]) -> tuple[dict[Path, Note], list[Unusable]]:
    """The notes of earlier runs, by path, without the scans whose files were damaged since then.

    Those are made again where this run has their source; the others leave the store, and are
    returned with the reason.
    """
    read = {path: Note.read(path) for path in sorted((out / "records").glob("[!.]*.json"))}
    notes = {path: note for path, note in read.items() if note is not None}
    stored = [ScanFiles.of(record) for note in notes.values() for record in note.records]
    damage = find_damage(out, stored)
    for file, found in damage.items():
        console.print(f"warning: {file}: found {found}", style="yellow", soft_wrap=True)
    found_in = {file.stem: found for file, found in damage.items()}
    lost: list[Unusable] = []
    for path, note in list(notes.items()):
        harmed = [record.id for record in note.records if record.id in found_in]
        if harmed:
            reasons = [f"its stored file was damaged: found {found_in[id]}" for id in harmed]
            gone = tuple(Unusable(Path(id), why) for id, why in zip(harmed, reasons, strict=True))
            left = tuple(record for record in note.records if record.id not in found_in)
            notes[path] = replace(note, stamp="", records=left, unusable=gone)
            lost += () if path in given else gone
    return notes, lost


def _salt_of(sources: Sequence[Source], out: Path | None) -> str:
    """That of a store begun, or of the input, so that a store can be made again to the bit."""
    if out is not None and (out / SALT).is_file():
        return (out / SALT).read_text()
    paths = "\n".join(sorted(str(image.resolve()) for item in sources for image in item.images))
    return hashlib.sha256(paths.encode()).hexdigest()


def _claim_store(out: Path, contract: PreprocessingContract, new_salt: str) -> str:
    """Begin a store, or make sure that the one begun is of the same kind; return its salt."""
    require_own_entries(out)
    begun, salt = out / "contract.json", out / SALT
    if begun.exists():
        PreprocessingContract.from_json(json.loads(begun.read_text())).require(contract)
    elif any(path.name != salt.name and not path.name.startswith(".") for path in out.iterdir()):
        raise SelfscanError(
            f"{out}: found a folder that is no store; expected one to resume, or an empty folder"
        )
    if not salt.exists():
        with written_atomically(salt) as temporary:
            temporary.write_text(new_salt)
    if not begun.exists():
        with written_atomically(begun) as temporary:
            temporary.write_text(json.dumps(contract.to_json(), indent=2) + "\n")
    return salt.read_text()


def _label_names(out: Path, found: Found, notes: Mapping[Path, Note]) -> dict[int, str]:
    """The names that lists give, earlier ones too, and plain ones for values without a name."""
    present = {value for note in notes.values() for value in note.label_values}
    if not present:
        return {}
    earlier = out / "labels.json"
    known = json.loads(earlier.read_text()) if earlier.exists() else {}
    plain = {value: f"label {value}" if value else "background" for value in {0, *present}}
    return plain | {int(value): name for value, name in known.items()} | found.label_names


def _in_splits(sources: Sequence[Source], given_names: Sequence[str], path: Path) -> list[Source]:
    """Put each case in its split, by its id, its whole name, or the last part: its file's name."""
    split_of = read_splits(path)
    found: list[Source] = []
    for item, given in zip(sources, given_names, strict=True):
        names = (item.name, given, given.split("__")[-1])
        split = next((split_of[name] for name in names if name in split_of), None)
        found.append(replace(item, split=split))
    if found and all(item.split is None for item in found):
        raise SelfscanError(
            f"{path}: found none of the cases in its lists; expected names such as "
            f"{', '.join(item.name for item in sources[:3])}; correct the names"
        )
    return found


def _require_apart(inputs: Sequence[Path], out: Path) -> None:
    for path in inputs:
        if Path(path).resolve().is_relative_to(out):
            raise SelfscanError(
                f"{path}: found a file or folder inside of the output {out}; keep them apart"
            )


def _check(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
