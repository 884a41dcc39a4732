"""Labels of whole scans: a CSV table with the columns `case` and `label`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from selfscan.errors import ScanError
from selfscan.scans.store import Store

_COLUMNS = ("case", "label")


@dataclass(frozen=True)
class CaseTable:
    """The classes of scans.

    Attributes:
        path: The file.
        class_of: By the scan's id, the name of its class.
        names: The names of all classes, sorted; their places are the numbers of the classes.
    """

    path: Path
    class_of: dict[str, str]
    names: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> CaseTable:
        """Read the file; labels are names, whatever they look like.

        Raises:
            ScanError: A column is missing, a case stands there twice, or there is one class only.
        """
        try:
            rows = pd.read_csv(path, dtype=str, keep_default_na=False)
        except (OSError, ValueError) as error:  # pandas and Unicode errors are of the latter
            raise ScanError(
                path, found=f"no readable table ({error})", expected=_EXPECTED, remedy=_REMEDY
            ) from error
        if not set(_COLUMNS) <= set(rows.columns):
            found = f"the columns {', '.join(rows.columns)}"
            raise ScanError(path, found=found, expected=_EXPECTED, remedy=_REMEDY)
        twice = rows.loc[rows["case"].duplicated(), "case"].unique()
        if len(twice):
            found = f"cases that stand there twice: {', '.join(twice[:3])}"
            raise ScanError(path, found=found, expected="one row a case", remedy=_REMEDY)
        rows = rows[rows["label"] != ""]
        names = tuple(sorted(rows["label"].unique()))
        if len(names) < 2:
            found = f"the labels {', '.join(names) or 'of no case'}"
            raise ScanError(path, found=found, expected="two classes at least", remedy=_REMEDY)
        return cls(path, dict(zip(rows["case"], rows["label"], strict=True)), names)

    def select(
        self, store: Store, split: str, *, cases: int | Sequence[str] | None = None
    ) -> Store:
        """The scans of a split that have a class.

        Args:
            store: All scans.
            split: The split's name.
            cases: Only the first so many in a fixed order that takes the classes in turn, so that
                small subsets lie inside larger ones; or these ids, of whatever split.

        Raises:
            ScanError: A case of the table is not in the store, a class has no scan there, a scan
                has no class, or there are not so many.
        """
        self._require_known(store)
        if cases is not None and not isinstance(cases, int):
            if unlabelled := [id for id in cases if id not in self.class_of]:
                found = f"no label of {_some(unlabelled)}"
                raise ScanError(self.path, found=found, expected=_EXPECTED, remedy=_REMEDY)
            self._require_all_classes(cases, f"the cases {_some(cases)}")
            return store.select(ids=list(cases))
        ids = [r.id for r in store if r.split == split and r.id in self.class_of]
        self._require_all_classes(ids, f"{store.path} in the split {split!r}")
        if cases is None:
            return store.select(ids=ids)
        if not len(self.names) <= cases <= len(ids):
            raise ScanError(
                self.path,
                found=f"{len(ids)} labelled scans in the split {split!r}",
                expected=f"{len(self.names)} to {len(ids)} cases, got {cases}",
                remedy="choose another number",
            )
        order = np.random.default_rng(0).permutation(sorted(ids))
        turns = {name: [id for id in order if self.class_of[id] == name] for name in self.names}
        deck = sorted(
            (turn, number, id)
            for number, name in enumerate(self.names)
            for turn, id in enumerate(turns[name])
        )
        return store.select(ids=[str(id) for _, _, id in deck[:cases]])

    def among(self, store: Store, split: str) -> Store | None:
        """The scans of a split that have a class, whichever; None where there are none.

        Raises:
            ScanError: A case of the table is not in the store.
        """
        self._require_known(store)
        ids = [r.id for r in store if r.split == split and r.id in self.class_of]
        return store.select(ids=ids) if ids else None

    def classes(self, store: Store) -> npt.NDArray[np.int64]:
        """The number of the class of each scan, (N,)."""
        return np.array([self.names.index(self.class_of[id]) for id in store.ids], dtype=np.int64)

    def _require_known(self, store: Store) -> None:
        if unknown := sorted(set(self.class_of) - set(store.ids)):
            raise ScanError(
                self.path,
                found=f"{len(unknown)} cases that {store.path} does not hold: {_some(unknown)}",
                expected="ids of its scans",
                remedy="prepare these scans too (rejected.parquet says why one was left out), or "
                "take their rows out",
            )

    def _require_all_classes(self, ids: Sequence[str], place: str) -> None:
        if missing := sorted(set(self.names) - {self.class_of[id] for id in ids}):
            raise ScanError(
                self.path,
                found=f"no scan of {place} of {', '.join(missing)}",
                expected="one of each class at least: without, nothing learns the class, and its "
                "AUROC is not defined",
                remedy="write the ids of the store's scans into the column case, or choose splits",
            )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


_EXPECTED = "a CSV file with the columns case and label"
_REMEDY = "write one row a scan, with its id in the store"
