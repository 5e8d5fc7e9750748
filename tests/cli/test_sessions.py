"""A session of the panel reaches the command line with all that was done by hand."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest

from napari_clearclip.edits import Edits, View
from napari_clearclip.io import sessions
from napari_clearclip.io.raster import read_labels
from napari_clearclip.pipeline import Pipeline
from napari_clearclip.settings import Model, Prompt, Settings

VIEW = View(channel_axis=-1, channels=(0, 1, 2), limits=((20, 230),) * 3, gamma=0.8)


@pytest.fixture
def edits():
    """Painted, taught and locked."""
    pixels = np.arange(60 * 84).reshape(60, 84)
    edits = Edits().paint("a", (), pixels % 84 < 30, True).lock("b", (), pixels < 1000)
    return edits.teach("a", (), pixels > 4500, False).find_similar("b", (), pixels % 84 > 70)


@pytest.fixture
def session(photo, tiny, edits):
    """A session of the photograph."""
    prompts = (Prompt(id="a", phrase="road", threshold=0.4), Prompt(id="b", phrase="tree", locked=True))
    settings = Settings(model=Model.parse(str(tiny)), prompts=prompts)
    readings = (sessions.Read(model=settings.model, view=VIEW),)
    image = sessions.Image(name="x", path=f"/old/{photo}", settings=settings, edits=edits, readings=readings)
    other = sessions.Image(name="other.png", settings=Settings(prompts=(Prompt(phrase="sky"),)))
    sessions.write(Path("a.clearclip"), sessions.Session(images=(other, image)))
    return settings


def test_what_was_done_by_hand_is_in_the_result(run, photo, session, edits):
    run("segment", photo, "--session", "a.clearclip")
    wanted = Pipeline().run(imageio.imread(photo), session, VIEW, edits)
    without = Pipeline().run(imageio.imread(photo), session, VIEW)
    labels, names = read_labels(Path("photo_clearclip_labels.tif"))
    assert names == ("road", "tree")
    np.testing.assert_array_equal(labels, wanted.labels)
    assert not np.array_equal(labels, without.labels)


def test_flags_go_before_the_session(run, photo, session):
    run("segment", photo, "--session", "a.clearclip", "--threshold", 0.9)
    _, names = read_labels(Path("photo_clearclip_labels.tif"))
    assert names == ("road", "tree")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.png"], "the session a.clearclip knows no none.png, but other.png, photo.png"),
        (["photo.png", "more.png"], "belongs to one image; give photo.png alone, or a settings file"),
        (["photo.png", "--settings", "a.json"], "--settings and --session exclude each other; give one of them"),
    ],
)
def test_wrong_usage_is_told(run, session, arguments, message):
    assert message in " ".join(run("segment", *arguments, "--session", "a.clearclip", code=2).output.split())


def test_what_is_no_session_is_told(run, photo):
    Path("a.clearclip").write_bytes(b"no zip")
    output = " ".join(run("segment", photo, "--session", "a.clearclip", code=2).output.split())
    assert "the session a.clearclip is damaged or no session file" in output


def test_channels_of_several_layers_are_refused(run, photo, session):
    (other, image) = sessions.read(Path("a.clearclip")).images
    image = image.replace(picks=(sessions.Pick(image=0), sessions.Pick(image=1), None))
    sessions.write(Path("a.clearclip"), sessions.Session(images=(other, image)))
    output = " ".join(run("segment", photo, "--session", "a.clearclip", code=2).output.split())
    assert "looks at channels of several layers; export what it has found from napari" in output
