"""The section that refines masks: a chain in one click, its parts below it."""

from __future__ import annotations

from typing import Any

import pytest

from napari_clearclip.chains import CHAINS, DEFAULT, OFF
from napari_clearclip.edits import View
from napari_clearclip.gui.segment.refining import ABOUT_CUSTOM, CUSTOM, RefineSection
from napari_clearclip.settings import Cleaning, Refining, Settings


@pytest.fixture
def section(qtbot: Any) -> RefineSection:
    section = RefineSection()
    qtbot.addWidget(section)
    section.show_settings(Settings())
    return section


def choose(section: RefineSection, name: str) -> None:
    at = section.chains.findData(name)
    section.chains.setCurrentIndex(at)
    section.chains.activated.emit(at)


@pytest.mark.parametrize("name", CHAINS)
def test_each_chain_is_offered_and_shown(name: str, section: RefineSection) -> None:
    section.show_settings(CHAINS[name].on(Settings()))
    assert section.chains.currentText() == CHAINS[name].title
    assert section.about.text() == CHAINS[name].summary
    for part, form in section.forms.items():
        chosen = getattr(CHAINS[name].on(Settings()), part)
        assert all(editor.value == getattr(chosen, field) for field, editor in form.editors.items())


def test_choosing_a_chain_is_one_change(section: RefineSection) -> None:
    told: list[Any] = []
    section.chain_chosen.connect(told.append)
    choose(section, DEFAULT)
    assert told == [CHAINS[DEFAULT]]
    assert not section.details.button.isChecked()


def test_own_values_are_shown_as_such(section: RefineSection) -> None:
    section.show_settings(Settings(refining=Refining(pamr=3)))
    assert (section.chains.currentText(), section.about.text()) == (CUSTOM, ABOUT_CUSTOM)
    assert section.forms["refining"].editors["pamr"].value == 3


def test_one_s_own_is_set_below(section: RefineSection) -> None:
    told: list[Any] = []
    section.chain_chosen.connect(told.append)
    choose(section, "")
    assert section.details.button.isChecked()
    assert section.chains.currentText() == CHAINS[OFF].title  # nothing has changed yet
    assert not told
    section.changed.connect(lambda part, change: told.append((part, change)))
    section.forms["refining"].editors["pamr"].inner.setValue(7)
    assert told == [("refining", {"pamr": 7})]


def test_sizes_are_in_the_unit_of_the_image(section: RefineSection) -> None:
    smallest = section.forms["cleaning"].editors["smallest"].inner
    section.show_settings(Settings(cleaning=Cleaning(smallest=8)))
    for view, text in (
        (None, "8.00 px²"),
        (View(), "8.00 px²"),
        (View(scale=(0.5, 0.5), unit="µm"), "8.00 µm²"),
        (View(scale=(0.5, 0.5)), "8.00"),
    ):
        section.show_pixel(view)
        assert smallest.text() == text


def test_what_does_nothing_says_so(section: RefineSection) -> None:
    for part, field in (("refining", "pamr"), ("comparing", "smooth"), ("comparing", "denoise")):
        box = section.forms[part].editors[field].inner
        assert box.text() == "off"
        box.setValue(1)
        assert box.text() != "off"
