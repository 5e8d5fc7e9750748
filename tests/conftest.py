"""What all tests share: where the real data are, and what happens without a screen."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

HAS_SCREEN = sys.platform != "linux" or bool(os.environ.get("DISPLAY"))

if not HAS_SCREEN:  # widgets without a canvas need no screen
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a screen, skip the tests that open a viewer; in CI, refuse to run without one."""
    viewer_tests = [item for item in items if "make_napari_viewer" in getattr(item, "fixturenames", ())]
    if HAS_SCREEN or not viewer_tests:
        return
    if os.environ.get("CI") == "true":
        raise pytest.UsageError("no screen for the viewer's tests: install the Debian package xvfb and run tox")
    for item in viewer_tests:
        item.add_marker(pytest.mark.skip(reason="no screen: install the Debian package xvfb and run tox"))


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real images, see CONTRIBUTING.md."""
    folder = os.environ.get("CLEARCLIP_TEST_DATA")
    if not folder:
        pytest.skip("the environment variable CLEARCLIP_TEST_DATA does not name a folder of real images")
    return Path(folder)


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of tensors that the ClearCLIP authors' code computed."""
    return Path(__file__).parent / "golden"
