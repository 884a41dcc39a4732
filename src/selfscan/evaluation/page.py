"""What the pages share: one look, figures held in the page itself, numbers as they are read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure as Canvas

from selfscan.evaluation.figures import encode
from selfscan.evaluation.verdict import p_text

_FOLDER = Path(__file__).parent
PHOTO_DOTS = 120  # of scans, whose voxels are larger anyway; the page stays small


@dataclass(frozen=True)
class Plot:
    """A figure of the page.

    Attributes:
        source: Its image as a `data:` address.
        alt: What it shows, for who cannot see it.
        caption: How to read it.
        width: Of the image on the page, in CSS pixels, so that all text has one size.
    """

    source: str
    alt: str
    caption: str
    width: int


def plot(canvas: Canvas | None, *, alt: str, caption: str, dots_per_inch: int = 170) -> Plot | None:
    """A figure as the page holds it; None where there is nothing to draw."""
    if canvas is None:
        return None
    source = encode(canvas, dots_per_inch=dots_per_inch)
    return Plot(source, alt, caption, width=round(96 * canvas.get_figwidth()))


def render_page(template: str, values: Mapping[str, Any], *, folder: Path = _FOLDER) -> str:
    """One HTML page from a template in a folder; the frame stands beside this file."""
    environment = Environment(
        loader=FileSystemLoader([folder, _FOLDER]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters |= {
        "score": lambda value: _number(value, ".3f"),
        "signed": lambda value: _number(value, "+.3f"),
        "millimeters": lambda value: _number(value, ".1f"),
        "percent": lambda value: _number(100 * value, ".0f") + "%",
        "p": lambda value: p_text(value).removeprefix("= "),
    }
    return environment.get_template(template).render(values)


def _number(value: float, form: str) -> str:
    return "–" if math.isnan(value) else format(value, form).replace("-", "−")
