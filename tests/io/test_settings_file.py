"""Settings files come back as they were, and say what is wrong with them."""

from __future__ import annotations

import json

import pytest

from napari_clearclip.edits import View
from napari_clearclip.io.settings_file import SettingsFile, read_settings, write_settings
from napari_clearclip.settings import Attention, Comparing, Prompt, Settings, Tiling

FULL = SettingsFile(
    settings=Settings(
        attention=Attention(terms=("qq", "identity"), temperature=0.1 + 0.2),
        tiling=Tiling(short_side="native", window=64, stride=32),
        prompts=(Prompt.parse("été, 木", id="a"), Prompt(id="b", phrase="x", kind="distractor", muted=True)),
        comparing=Comparing(templates=("a {}",), cell=1),
    ),
    view=View(channel_axis=-1, channels=(2, 0), limits=((0.1, 1 / 3), (-1e300, 1e-300)), gamma=0.7, nodata=-9999.0),
)


@pytest.mark.parametrize("session", [SettingsFile(), FULL], ids=["empty", "full"])
def test_written_and_read_is_equal(tmp_path, session):
    write_settings(tmp_path / "a.json", session)
    assert read_settings(tmp_path / "a.json") == session


def test_a_file_by_hand_may_say_little(tmp_path):
    (tmp_path / "a.json").write_text('{"settings": {"deciding": {"area": 0.1}}}')
    session = read_settings(tmp_path / "a.json")
    assert session.settings.deciding.area == 0.1
    assert session.view is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"is not JSON: "),
        ("[1]", r"the content is \[1\]; it should be a valid dictionary"),
        ('{"version": 7}', r"has version 7, but 1 is the newest known; update"),
        ('{"version": "x"}', r"version is 'x'; it should be 1"),
        ('{"setings": {}}', r"there is no setting 'setings'"),
        ('{"settings": {"tiling": {"shortside": 1}}}', r"there is no setting 'settings\.tiling\.shortside'"),
        ('{"settings": {"deciding": {"scale": 0}}}', r"settings\.deciding\.scale is 0; it should be greater than 0"),
        ('{"settings": {"prompts": [{"phrase": " "}]}}', r"a phrase is empty; write what to look for"),
        ('{"view": {"limits": [[1, 0]]}}', r"contrast limits \(1\.0, 0\.0\) must rise"),
    ],
)
def test_a_wrong_file_is_refused_with_the_reason(tmp_path, content, message):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ValueError, match=rf"the settings file .*a\.json .*{message}"):
        read_settings(tmp_path / "a.json")


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"the settings file .*a\.json does not exist"):
        read_settings(tmp_path / "a.json")
    with pytest.raises(ValueError, match=r"cannot be read: Is a directory"):
        read_settings(tmp_path)


def test_several_mistakes_are_all_named(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"settings": {"a": 1, "deciding": {"lead": 2}}}))
    with pytest.raises(ValueError, match=r"deciding\.lead is 2; .*; there is no setting 'settings\.a'"):
        read_settings(tmp_path / "a.json")
