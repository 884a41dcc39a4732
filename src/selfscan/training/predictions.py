"""What `predict` makes of a scan: a label map on its own grid, or a row of class probabilities."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from lightning_fabric import Fabric

from selfscan.checkpoints.checkpoint import Checkpoint, load, resolve
from selfscan.files import written_atomically
from selfscan.scans.formats.writing import write_nifti
from selfscan.scans.preparation.geometry import resample_onto
from selfscan.scans.scan import Scan
from selfscan.training.classifier import Classifier, classifier_of, classify_volume
from selfscan.training.segmentation import Segmenter, segment_volume, segmenter_of
from selfscan.training.start import prepare_alike

SUFFIX = ".nii.gz"
CLASSES = "classes.csv"


def load_model(path: Path) -> tuple[Segmenter | Classifier, Checkpoint]:
    """Rebuild a trained model from its run folder or checkpoint file, in evaluation mode.

    Raises:
        SelfscanError: The checkpoint is of pre-training, or its weights do not fit.
    """
    checkpoint = load(resolve(path))
    if checkpoint.task == "classification":
        return classifier_of(path, checkpoint), checkpoint
    return segmenter_of(path, checkpoint), checkpoint


class Predictions(ABC):
    """Results of a model in a folder, a case at a time; what is there stays.

    Args:
        out: The folder.
        model: In evaluation mode, on the device of `fabric`.
        trained: The checkpoint that it is from.
        overlap: Share of a window that its neighbor covers too.
        fabric: Device and precision.
    """

    done_to_a_scan: ClassVar[str]
    what: ClassVar[str]

    def __init__(
        self, out: Path, model: Any, trained: Checkpoint, *, overlap: float, fabric: Fabric
    ) -> None:
        self.out, self.model, self.trained = out, model, trained
        self.overlap, self.fabric = overlap, fabric

    @abstractmethod
    def holds(self, case: str) -> bool:
        """Whether a case has its result."""

    @abstractmethod
    def add(self, case: str, scan: Scan) -> None:
        """Predict one scan, and keep the result.

        Raises:
            ScanError: The scan has another number of channels than the model, or cannot be
                prepared.
        """

    @abstractmethod
    def files(self, cases: list[str]) -> list[Path]:
        """The files with the results of these cases."""


class LabelMaps(Predictions):
    """A file CASE.nii.gz each, and `dataset.json` with the names of labels as nnU-Net has them."""

    done_to_a_scan, what = "segmented", "label maps"

    def __init__(
        self, out: Path, model: Segmenter, trained: Checkpoint, *, overlap: float, fabric: Fabric
    ) -> None:
        super().__init__(out, model, trained, overlap=overlap, fabric=fabric)
        values = {name: value for value, name in model.label_names.items()}
        with written_atomically(out / "dataset.json") as temporary:
            described = {"labels": values, "file_ending": SUFFIX}
            temporary.write_text(json.dumps(described, indent=2) + "\n")

    def holds(self, case: str) -> bool:
        """Whether the file is there."""
        return (self.out / f"{case}{SUFFIX}").exists()

    def add(self, case: str, scan: Scan) -> None:
        """Write the label map of a scan, on the scan's grid."""
        labels = segment_scan(
            scan, self.model, self.trained, overlap=self.overlap, fabric=self.fabric
        )
        write_nifti(self.out / f"{case}{SUFFIX}", labels, scan.affine)

    def files(self, cases: list[str]) -> list[Path]:
        """One a case."""
        return [self.out / f"{case}{SUFFIX}" for case in cases]


class ClassTable(Predictions):
    """One file `classes.csv`: `case`, `predicted`, and `p(NAME)` of each class."""

    done_to_a_scan, what = "classified", "scans classified"

    def __init__(
        self, out: Path, model: Classifier, trained: Checkpoint, *, overlap: float, fabric: Fabric
    ) -> None:
        super().__init__(out, model, trained, overlap=overlap, fabric=fabric)
        file = out / CLASSES
        self._rows: list[dict[Any, Any]] = []
        if file.exists():
            kinds = {"case": str, "predicted": str}
            found = pd.read_csv(file, dtype=kinds, keep_default_na=False)
            self._rows = found.to_dict("records")

    def holds(self, case: str) -> bool:
        """Whether the table has its row."""
        return any(row["case"] == case for row in self._rows)

    def add(self, case: str, scan: Scan) -> None:
        """Write the table with the row of a scan."""
        prepared = prepare_alike(scan, self.trained)
        with self.fabric.autocast():
            found = classify_volume(
                self.model,
                prepared.volume,
                prepared.foreground,
                prepared.hounsfield,
                crop_size=self.trained.crop_size,
                overlap=self.overlap,
                device=self.fabric.device,
            )
        names = self.model.label_names
        row: dict[str, Any] = {"case": case, "predicted": names[int(found.argmax())]}
        row |= {f"p({names[k]})": round(float(found[k]), 6) for k in sorted(names)}
        self._rows.append(row)
        with written_atomically(self.out / CLASSES) as temporary:
            pd.DataFrame(self._rows).to_csv(temporary, index=False)

    def files(self, cases: list[str]) -> list[Path]:
        """The table."""
        return [self.out / CLASSES]


def segment_scan(
    scan: Scan, segmenter: Segmenter, model: Checkpoint, *, overlap: float, fabric: Fabric
) -> npt.NDArray[Any]:
    """The labels of a scan as it was read, on its own grid, (I, J, K).

    The scan is prepared as the model's training data were; probabilities are carried back class by
    class, and the largest wins. On an equal grid that moves voxels and interpolates nothing.

    Raises:
        ScanError: The scan has another number of channels than the model, or cannot be prepared.
    """
    prepared = prepare_alike(scan, model)
    with fabric.autocast():
        probabilities = segment_volume(
            segmenter,
            prepared.volume,
            prepared.hounsfield,
            crop_size=model.crop_size,
            overlap=overlap,
            device=fabric.device,
        )
    labels = np.zeros(scan.shape, dtype=np.uint8 if len(probabilities) <= 256 else np.int16)
    largest = np.full(scan.shape, -np.inf, dtype=np.float32)
    for label in range(len(probabilities)):
        single = probabilities[label : label + 1]
        (share,) = resample_onto(single, prepared.affine, scan.shape, scan.affine)
        labels[share > largest] = label
        np.maximum(largest, share, out=largest)
    return labels
