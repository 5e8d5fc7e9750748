"""Every command that the documentation tells of the evaluation is one."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import typer.main

from napari_clearclip.cli import app
from napari_clearclip.engine.variants import VARIANTS
from napari_clearclip.evaluate.datasets import DATASETS
from napari_clearclip.evaluate.methods import method_of
from napari_clearclip.evaluate.recipes import recipe_of

DOCS = Path(__file__).parents[2] / "docs"
COMMANDS = sorted(
    {
        line.strip()
        for page in ("reproduction.md", "methods.md", "ablation.md")
        for line in (DOCS / page).read_text("utf-8").replace(" \\\n", " ").splitlines()
        if line.startswith("    napari-clearclip ") and "..." not in line
    }
)


def parsed(line: str) -> tuple[str, dict[str, object]]:
    """The name of a command and its options, as the command line reads them; nothing is run."""
    _, name, *arguments = shlex.split(line)
    group = typer.main.get_command(app)
    command = group.get_command(typer.Context(group), name)  # type: ignore[attr-defined]
    assert command is not None, f"there is no command {name}"
    return name, command.make_context(name, arguments).params


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_page_is_one(line: str) -> None:
    name, options = parsed(line)
    if name == "segment":
        assert options["variant"] in (None, *VARIANTS)
    if name not in ("evaluate", "ablation"):
        return
    dataset = str(options["dataset"])
    assert dataset in DATASETS or dataset.startswith(("scenes", "folder"))
    if dataset in DATASETS:
        assert options["root"] is not None
        recipe_of(str(options["protocol"]), dataset)
    for variant in options.get("variant") or ():  # type: ignore[attr-defined]
        if not variant.startswith("learned:"):
            method_of(variant)


def test_the_page_has_a_command_for_each_table() -> None:
    assert len(COMMANDS) > 12
    assert {shlex.split(line)[1] for line in COMMANDS} == {
        "ablation",
        "evaluate",
        "learn-projection",
        "segment",
        "train",
    }


def test_what_is_no_command_is_found() -> None:
    with pytest.raises(AssertionError, match="there is no command measure"):
        parsed("napari-clearclip measure scenes")
    with pytest.raises(Exception, match="No such option"):
        parsed("napari-clearclip ablation scenes --study")
