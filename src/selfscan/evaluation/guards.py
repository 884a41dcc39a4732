"""What makes a comparison unfair or blind, found before it starts: leaked cases, coarse voxels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from selfscan.errors import SelfscanError
from selfscan.evaluation.plan import Plan
from selfscan.files import written_atomically
from selfscan.progress import console
from selfscan.scans.seen import Leak, Seen
from selfscan.scans.store import Store
from selfscan.training.held_out import pretraining_scans

FILE = "guards.json"
_AXES = "XYZ"
_SHOWN = 5


@dataclass(frozen=True)
class ArmLeak:
    """A test case that the pre-training of an arm saw.

    Attributes:
        arm: The arm's name.
        case: The case's id.
        why: How it was recognized.
    """

    arm: str
    case: str
    why: str


@dataclass(frozen=True)
class Findings:
    """What the guards found.

    Attributes:
        leaks: Test cases that a pre-training saw.
        unknown: Arms of whose pre-training scans nothing is known.
        coarse: A sentence for each structure that the store's voxels hardly show.
    """

    leaks: tuple[ArmLeak, ...]
    unknown: tuple[str, ...]
    coarse: tuple[str, ...]

    @property
    def tainted(self) -> tuple[str, ...]:
        """The arms whose scores cannot be believed."""
        return tuple(dict.fromkeys(leak.arm for leak in self.leaks))

    def write(self, folder: Path) -> None:
        """Keep the findings in a comparison's folder, as `guards.json`, and tell them."""
        with written_atomically(folder / FILE) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=2) + "\n")
        for warning in warnings(self):
            console.print(f"warning: {warning}", style="yellow", soft_wrap=True, markup=False)

    @classmethod
    def read(cls, folder: Path) -> Findings:
        """The findings kept in a comparison's folder."""
        fields = json.loads((folder / FILE).read_text())
        leaks = tuple(ArmLeak(**leak) for leak in fields["leaks"])
        return cls(leaks, tuple(fields["unknown"]), tuple(fields["coarse"]))


def look_for_leaks(plan: Plan, stores: Sequence[Path]) -> tuple[list[ArmLeak], list[str]]:
    """Test cases among the pre-training scans of each arm, and arms whose scans are unknown.

    What the store says to be a near-duplicate of a test case counts as the case does: its patient
    may be the same person under another name.

    Args:
        plan: The comparison.
        stores: Stores that any checkpoint without a `seen.parquet` beside it may have learned from;
            their scans are taken as `pretrain` does by default.
    """
    whole = Store(plan.store)
    test = whole.select(ids=plan.test)
    case_of = _copies(whole, plan.test)
    copies = whole.select(ids=list(case_of)) if case_of else None
    given = Seen.of(*(pretraining_scans(Store(path), None) for path in stores)) if stores else None
    leaks, unknown = [], []
    for arm in plan.arms:
        if arm.checkpoint is None:
            continue
        seen = Seen.read(arm.checkpoint.parent) or given
        if seen is None:
            unknown.append(arm.name)
        else:
            found = seen.leaks(test)
            known = {leak.case for leak in found}
            for leak in seen.leaks(copies) if copies is not None else ():
                if (case := case_of[leak.case]) not in known:
                    known.add(case)
                    found.append(Leak(case, f"{leak.why}, of its near-duplicate {leak.case}"))
            leaks += [ArmLeak(arm.name, leak.case, leak.why) for leak in found]
    return leaks, unknown


def _copies(store: Store, test: Sequence[str]) -> dict[str, str]:
    """Near-duplicates of test cases that are no test cases, each with the case it repeats."""
    group_of = dict(zip(store.ids, store.near_duplicate_groups, strict=True))
    case_of = {group_of.pop(case): case for case in test}
    return {id: case_of[group] for id, group in group_of.items() if group in case_of}


def look_for_coarse_voxels(store: Store) -> list[str]:
    """A sentence for each structure that is under two voxels long in most labelled scans.

    The length is that of its box along the axis where it is shortest. Such a structure is shown by
    few voxels or by none: its Dice depends on the resampling more than on the network.
    """
    lengths: dict[int, list[tuple[int, int, int]]] = {value: [] for value in store.label_names}
    for i in range(len(store)):
        boxes = ndimage.find_objects(store.read_labels(i))
        for value, box in enumerate(boxes, start=1):
            if box is not None and value in lengths:
                x, y, z = (side.stop - side.start for side in box)
                lengths[value].append((x, y, z))
    sentences = []
    for value, found in lengths.items():
        name = store.label_names[value]
        if value and not found:
            sentences.append(f"No labelled scan has a voxel of {name}.")
        elif value and (median := np.median(found, axis=0)).min() < 2:
            axis = int(median.argmin())
            sentences.append(
                f"{name} is {median[axis]:g} voxel long along {_AXES[axis]} in most labelled "
                f"scans (voxels of {store[0].spacing[axis]:g} mm): the spacing is coarser than the "
                "structure. Prepare the scans with a finer --spacing."
            )
    return sentences


def guard(plan: Plan, *, stores: Sequence[Path], allow_leaks: bool) -> Findings:
    """Look for what makes the comparison unfair or blind.

    Raises:
        SelfscanError: A pre-training saw test cases, and that is not allowed.
    """
    leaks, unknown = look_for_leaks(plan, stores)
    if leaks and not allow_leaks:
        shown = "; ".join(f"{leak.arm}: {leak.case} ({leak.why})" for leak in leaks[:_SHOWN])
        more = f" and {len(leaks) - _SHOWN} more" if len(leaks) > _SHOWN else ""
        raise SelfscanError(
            f"{plan.store}: found test cases that pre-training saw: {shown}{more}; expected none, "
            "as scores on them flatter; pre-train without them, or give --allow_leaks to compare "
            "all the same, marked as tainted"
        )
    test = Store(plan.store).select(ids=plan.test)
    coarse = look_for_coarse_voxels(test) if plan.classes is None else []
    return Findings(tuple(leaks), tuple(unknown), tuple(coarse))


def warnings(findings: Findings) -> list[str]:
    """The findings as sentences for people."""
    said = []
    for arm in findings.tainted:
        cases = [leak.case for leak in findings.leaks if leak.arm == arm]
        some = ", ".join(cases[:_SHOWN]) + (", ..." if len(cases) > _SHOWN else "")
        said.append(
            f"Tainted: the pre-training of {arm} saw {len(cases)} of the test cases or their "
            f"patients ({some}). Its scores flatter; do not believe a gain."
        )
    if findings.unknown:
        said.append(
            f"What {', '.join(findings.unknown)} learned from is not known (no seen.parquet beside "
            "the checkpoint), so nobody looked whether test cases were among it. Name the stores "
            "by --pretraining_stores."
        )
    return said + list(findings.coarse)
