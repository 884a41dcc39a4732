"""Generated labelled CT of torsos: an embedded data set that needs no download."""

from selfscan.scans.phantom.canvas import PHANTOM_LABELS
from selfscan.scans.phantom.dataset import write_phantoms
from selfscan.scans.phantom.torso import Phantom, phantom

__all__ = ["PHANTOM_LABELS", "Phantom", "phantom", "write_phantoms"]
