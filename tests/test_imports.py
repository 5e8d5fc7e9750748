"""What importing costs, and who may import whom."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import napari_clearclip

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "open_clip", "napari", "skimage", "qtpy", "PyQt6", "dask", "scipy")


def loaded_after(code: str) -> set[str]:
    """Which heavy libraries a fresh interpreter has loaded after running some code."""
    report = f"import sys\n{code}\nprint(' '.join(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    [
        "import napari_clearclip; dir(napari_clearclip); napari_clearclip.__version__",
        "from napari_clearclip import Prompt, Segmentation, Settings, View; Settings(prompts=(Prompt(phrase='a'),))",
        "from napari_clearclip import Pipeline; Pipeline()",
        "from napari_clearclip import VARIANTS, register_variant; list(VARIANTS)",
        "import napari_clearclip.cli",
        "import napari_clearclip.domains as d; d.unknown_words(d.Model(), 'disk')",
        "import napari_clearclip.gui.control.controller",
        "import napari_clearclip.gui.models.choices as m; m.entries(m.Model(), None)",
    ],
)
def test_importing_loads_nothing_heavy(code: str) -> None:
    assert loaded_after(code) == set()


@pytest.mark.parametrize("arguments", [["--help"], ["demo", "--help"], ["segment", "--help"], ["info", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        f"from napari_clearclip.cli import main\nsys.argv = ['napari-clearclip', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code"
    )
    assert loaded_after(code) == set()


def test_a_heavy_import_would_be_seen() -> None:
    assert "torch" in loaded_after("import napari_clearclip.engine.encoder")


def test_every_public_name_is_there() -> None:
    wanted = {"Settings", "Prompt", "Edits", "View", "VARIANTS", "register_variant", "Pipeline", "Segmentation"}
    assert wanted <= set(napari_clearclip.__all__)
    assert wanted <= set(dir(napari_clearclip))
    for name in napari_clearclip.__all__:
        assert getattr(napari_clearclip, name) is not None
    with pytest.raises(AttributeError, match="module 'napari_clearclip' has no attribute 'Pipelin'"):
        napari_clearclip.Pipelin  # noqa: B018  # the look-up is what is tested


@pytest.mark.skipif(importlib.util.find_spec("importlinter") is None, reason="import-linter is not installed")
def test_import_contracts_hold() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c())"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
