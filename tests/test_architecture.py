"""Imports between rooms run one way, as docs/architecture.md draws them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    program = "from importlinter.cli import lint_imports_command as run; run()"
    return subprocess.run(
        [sys.executable, "-c", program, "--config", str(ROOT / "pyproject.toml"), "--no-cache"],
        cwd=root,
        env={"PYTHONPATH": str(root / "src"), "PATH": "", "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_imports_between_rooms_run_one_way() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_an_import_against_the_flow_is_caught(tmp_path: Path) -> None:
    package = tmp_path / "src" / "selfscan"
    for room in (
        "cli",
        "flags",
        "demo",
        "errors",
        "extras",
        "files",
        "configuration",
        "progress",
        "metrics",
        "class_metrics",
        "spatial_transformer",
    ):
        (package / f"{room}.py").parent.mkdir(parents=True, exist_ok=True)
        (package / f"{room}.py").touch()
    for room in (
        "discovery",
        "evaluation",
        "exits",
        "training",
        "checkpoints",
        "methods",
        "losses",
        "scans",
        "transforms",
        "networks",
    ):
        (package / room).mkdir()
        (package / room / "__init__.py").touch()
    (package / "__init__.py").touch()
    assert lint_imports(tmp_path).returncode == 0
    (package / "scans" / "__init__.py").write_text("import selfscan.training\n")
    result = lint_imports(tmp_path)
    assert result.returncode == 1
    assert "selfscan.scans is not allowed to import selfscan.training" in result.stdout
