"""The page about sessions says what is true, and its snippet runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from napari_clearclip.gui.actions import ACTIONS
from napari_clearclip.io.sessions import VERSION, Image, Layer, Placement, Session
from napari_clearclip.io.sessions.schema import Camera

PAGE = (Path(__file__).parents[3] / "docs/sessions.md").read_text("utf-8")


def test_its_snippet_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(snippet, {})
    assert capsys.readouterr().out == "tree\n"


@pytest.mark.parametrize("model", [Session, Image, Layer, Placement, Camera])
def test_it_names_every_key(model: type[Session]) -> None:
    assert [name for name in model.model_fields if f"`{name}`" not in PAGE] == []


def test_it_says_the_version_and_the_keys() -> None:
    assert f"In short, version {VERSION}:" in PAGE
    for name in ("save_session", "save_session_as", "open_session"):
        assert f"({ACTIONS[name].keys})" in PAGE
