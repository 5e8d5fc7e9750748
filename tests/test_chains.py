"""Chains: named choices that leave everything else as it is."""

from __future__ import annotations

import pytest

from napari_clearclip.chains import CHAINS, DEFAULT, OFF, chain_name
from napari_clearclip.settings import Attention, Cleaning, Prompt, Refining, Settings

MINE = Settings(prompts=(Prompt(phrase="road"),), attention=Attention(terms=("kk",)))


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_is_known_by_its_values_and_changes_nothing_else(name: str) -> None:
    chained = CHAINS[name].on(MINE)
    assert chain_name(chained) == name
    assert CHAINS[OFF].on(chained) == MINE
    assert Settings.model_validate_json(chained.model_dump_json()) == chained


def test_the_defaults_are_off() -> None:
    assert chain_name(Settings()) == OFF
    assert chain_name(Settings(cleaning=Cleaning(smallest=3))) == ""


def test_the_papers_settings() -> None:
    assert CHAINS["naclip"].refining == Refining(pamr=10, dilations=(8, 16))
    assert CHAINS["naclip_figures"].refining == Refining(pamr=50, dilations=(1, 2, 4, 8, 12, 24))
    assert (CHAINS["maskclip"].denoise, CHAINS["maskclip"].smooth) == (0.5, 1)
    assert CHAINS[DEFAULT].on(Settings()) != Settings()
