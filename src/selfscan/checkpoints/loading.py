"""Weights enter a network by name, with a report of each one that did not, and never too few."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rich.markup import escape
from rich.table import Table
from torch import Tensor, nn

from selfscan.checkpoints.adapting import adapted
from selfscan.errors import SelfscanError
from selfscan.files import written_atomically
from selfscan.networks.backbone import Backbone, Part
from selfscan.progress import details


@dataclass(frozen=True)
class LoadReport:
    """What happened to each weight.

    Attributes:
        part: What the checkpoint was asked for: `all` of the module, or a part of it.
        loaded: Names of the weights taken as they are.
        adapted: How each weight of another shape was made to fit, by name.
        skipped: Why each weight of the checkpoint was left out, by name.
        missing: Names of the part's weights that keep their initial values.
        filled: Parameters of the part, counted in numbers, that came from the checkpoint.
        parameters: Parameters of the part, counted in numbers.
        notes: What was done to all of them, and what else to know of them.
    """

    part: Literal["all"] | Part
    loaded: tuple[str, ...]
    adapted: dict[str, str]
    skipped: dict[str, str]
    missing: tuple[str, ...]
    filled: int
    parameters: int
    notes: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """The share of the part's parameters that came from the checkpoint."""
        return self.filled / max(self.parameters, 1)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self) | {"share": self.share}

    def __rich__(self) -> Table:
        """The report as a table: a row for each fate, and why."""
        title = f"{self.share:.1%} of the parameters of {self.part} came from the checkpoint"
        table = Table("", "weights", "which, and why", title=title, title_justify="left")
        table.add_row("loaded", str(len(self.loaded)), "")
        for fate, reasons in (("adapted", self.adapted), ("skipped", self.skipped)):
            for reason in dict.fromkeys(reasons.values()):
                names = [name for name, why in reasons.items() if why == reason]
                table.add_row(fate, str(len(names)), escape(f"{_short(names)}: {reason}"))
        if self.missing:
            kept = escape(f"{_short(self.missing)}: keeps its initial values")
            table.add_row("missing", str(len(self.missing)), kept)
        for note in self.notes:
            table.add_row("note", "", escape(note))
        return table


def load_weights(
    module: nn.Module,
    weights: Mapping[str, Tensor],
    *,
    part: Literal["all"] | Part = "all",
    keep_heads: bool = False,
    rename: Mapping[str, str] | None = None,
    minimum_share: float = 0.9,
) -> LoadReport:
    """Copy weights into a module by name, where shapes agree or can be made to: see `adapted`.

    Args:
        module: A method or a segmenter (its network is `module.backbone`), or a backbone.
        weights: Tensors by name, as in a checkpoint.
        part: What must come from the weights: all of the module, its backbone, or the encoder.
        keep_heads: Also take weights outside the part where name and shape agree.
        rename: Prefixes of the weights' names and what to put in their place.
        minimum_share: The least share of the part's parameters that must be found.

    Returns:
        The report; the module is changed in place.

    Raises:
        SelfscanError: Less was found than `minimum_share`; the module is then unchanged.
    """
    given = {_renamed(name, rename or {}): weight for name, weight in weights.items()}
    targets = module.state_dict()
    asked = _names_of(module, part)
    stems = _stem_names(module)
    values: dict[str, Tensor] = {}
    changed: dict[str, str] = {}
    skipped: dict[str, str] = {}
    for name, weight in given.items():
        if name not in targets:
            skipped[name] = "the network has no such weight"
        elif name not in asked and not keep_heads:
            skipped[name] = f"not part of the {part}"
        elif weight.shape == targets[name].shape:
            values[name] = weight
        elif fit := adapted(name, weight, targets[name], stems=stems):
            values[name], changed[name] = fit.value, fit.how
        else:
            skipped[name] = (
                f"found shape {tuple(weight.shape)}, expected {tuple(targets[name].shape)}"
            )
    sizes = {name: weight.numel() for name, weight in module.named_parameters() if name in asked}
    report = LoadReport(
        part=part,
        loaded=tuple(name for name in values if name not in changed),
        adapted=changed,
        skipped=skipped,
        missing=tuple(name for name in targets if name in asked and name not in values),
        filled=sum(size for name, size in sizes.items() if name in values),
        parameters=sum(sizes.values()),
    )
    if report.share < minimum_share:
        reasons = [*skipped.items(), *((name, "not in the checkpoint") for name in report.missing)]
        raise SelfscanError(
            f"found {report.share:.1%} of the parameters of {part} in the checkpoint; expected at "
            f"least {minimum_share:.0%}; first differences: "
            + "; ".join(f"{name}: {why}" for name, why in reasons[:4])
        )
    module.load_state_dict({**targets, **values})
    return report


def tell_load_report(report: LoadReport | None, folder: Path) -> None:
    """Print what was loaded, and keep it as `load_report.json`."""
    if report is None:
        details.print("from scratch: every weight is random")
    else:
        details.print(report)
    with written_atomically(folder / "load_report.json") as temporary:
        temporary.write_text(json.dumps(report and report.to_json(), indent=2) + "\n")


def weights_of(module: nn.Module, part: Part) -> dict[str, Tensor]:
    """The weights of a module by name, without what of its backbone lies outside a part."""
    left_out = _names_of(module, "backbone") - _names_of(module, part)
    return {name: value for name, value in module.state_dict().items() if name not in left_out}


def _names_of(module: nn.Module, part: Literal["all"] | Part) -> set[str]:
    """Names in the state dictionary, buffers included, of a part of the module."""
    names = set(module.state_dict())
    if part == "all":
        return names
    prefix, backbone = _backbone_of(module)
    names = {name for name in names if name.startswith(prefix)}
    if part == "backbone":
        return names
    encoder = {id(weight) for weight in backbone.encoder_parameters()}
    layers = {
        name.rpartition(".")[0]
        for name, weight in module.named_parameters()
        if id(weight) in encoder
    }
    return {name for name in names if name.rpartition(".")[0] in layers}


def _backbone_of(module: nn.Module) -> tuple[str, Backbone]:
    for prefix, inner in (("", module), ("backbone.", getattr(module, "backbone", None))):
        if isinstance(inner, Backbone):
            return prefix, inner
    raise ValueError(f"expected a backbone, or a module that has one, got {type(module).__name__}")


def _stem_names(module: nn.Module) -> set[str]:
    """Convolution weights of backbones that take as many channels as the volumes have."""
    return {
        f"{prefix}.{name}".lstrip(".")
        for prefix, backbone in module.named_modules()
        if isinstance(backbone, Backbone)
        for name, weight in backbone.named_parameters()
        if weight.ndim == 5 and weight.shape[1] == backbone.in_channels
    }


def _renamed(name: str, rename: Mapping[str, str]) -> str:
    for old, new in rename.items():
        if name.startswith(old):
            return new + name[len(old) :]
    return name


def _short(names: Iterable[str]) -> str:
    first, *rest = names
    return f"{first} and {len(rest)} more" if rest else first
