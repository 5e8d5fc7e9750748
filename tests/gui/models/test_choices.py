"""The list of models without Qt: what it offers, what it says, and that its facts agree with open_clip."""

from __future__ import annotations

from pathlib import Path

import open_clip
import pytest

from napari_clearclip.domains import world_of
from napari_clearclip.engine.catalogue import Published, catalogue, parameters, published_models
from napari_clearclip.gui.amounts import bytes_text, progress_text, seconds_text
from napari_clearclip.gui.models.choices import (
    Entry,
    architectures,
    entries,
    entry_of,
    guess_architecture,
    has_configuration,
    state_text,
    title_of,
)
from napari_clearclip.progress import Progress
from napari_clearclip.settings import Model

B16 = Model.parse("ViT-B-16/openai")
SIGLIP2 = Model.parse("ViT-B-16-SigLIP2-256/webli")
BIOMEDCLIP = Model(name="hf-hub:microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224")
OTHER = Model.parse("ViT-L-14/laion400m_e31")


def titled(found: tuple[Entry, ...], title: str) -> Entry:
    return next(entry for entry in found if entry.title == title)


# ----------------------------------------------------------------------------------------------------------------------
# Facts


def test_recommended_models_are_published_and_as_large_as_stated() -> None:
    sizes = {entry.model: entry.size for entry in catalogue()}
    found = [entry for entry in entries(Model(), None) if entry.group == "Recommended"]
    assert len(found) >= 6
    siglip = [entry for entry in entries(Model(), None) if entry.group == "SigLIP"]
    assert {str(entry.model).count("SigLIP2") for entry in siglip} == {0, 1}
    for entry in [*found, *siglip]:
        assert entry.model in published_models()
        assert entry.size == pytest.approx(sizes[entry.model], abs=1_000_000)
        assert entry.good_for
        assert entry.about


def test_pictures_of_a_siglip_are_as_large_as_stated() -> None:
    for entry in (entry for entry in entries(Model(), None) if entry.group == "SigLIP"):
        assert entry.model is not None
        side = open_clip.get_model_config(entry.model.name)["vision_cfg"]["image_size"]
        assert f"pictures of {side} pixels" in entry.about.replace("Pictures", "pictures")
        assert "Licence: Apache 2.0" in entry.about


def test_biomedclip_is_offered_for_its_world_under_a_name_that_can_be_read() -> None:
    for published in (None, catalogue()):
        (entry,) = (entry for entry in entries(Model(), published) if entry.group == "For biomedical images")
        assert (entry.title, entry.model, entry.size_text) == ("BiomedCLIP", BIOMEDCLIP, "784 MB")
        assert title_of(BIOMEDCLIP) == "BiomedCLIP"
        assert world_of(BIOMEDCLIP) == "microscopy"
        assert entry.matches("pubmedbert_256")


def test_files_by_hand_name_an_architecture_a_page_and_their_world() -> None:
    found = [entry for entry in entries(Model(), None) if entry.state == "file by hand"]
    assert {entry.title.partition(" ")[0] for entry in found} == {"RemoteCLIP", "GeoRSCLIP", "SkyCLIP"}
    for entry in found:
        assert entry.architecture in architectures()
        assert entry.page.startswith("https://")
        folder = entry.title.partition(" ")[0]
        assert world_of(Model(name=entry.architecture, pretrained=f"{folder}/weights.pt")) == "aerial"
        if entry.size:
            config = open_clip.get_model_config(entry.architecture)
            assert entry.size == pytest.approx(4 * parameters(config), abs=1_000_000)


def test_architectures_are_those_of_the_published_models() -> None:
    assert set(architectures()) == {model.name for model in published_models()}


# ----------------------------------------------------------------------------------------------------------------------
# The list


def test_states_are_unknown_until_the_machine_has_told() -> None:
    assert entry_of(B16, None).state == "looking …"
    assert not entry_of(B16, None).is_here
    assert entry_of(B16, [Published(B16, 1, False)]).state == "not downloaded"
    here = entry_of(B16, [Published(B16, 1, True)])
    assert here.state == "on this machine"
    assert here.is_here


def test_groups_in_order_and_each_model_once() -> None:
    found = entries(Model(), [Published(model, 4_000, False) for model in (B16, OTHER)])
    groups = list(dict.fromkeys(entry.group for entry in found))
    assert groups == ["At hand", "Recommended", "For aerial images", "All published"]
    assert [str(entry.model) for entry in found if entry.group == "All published"] == [str(OTHER)]
    assert titled(found, str(OTHER)).good_for == "patches of 14 pixels"
    larger = Model.parse("ViT-L-16-SigLIP-384/webli")
    assert entry_of(larger, [Published(larger, 1, False)]).good_for == "patches of 16 pixels, pictures of 384"


def test_what_cannot_be_used_for_want_of_a_library_says_so() -> None:
    lacking = "its words need a library that is missing"
    for model in (SIGLIP2, BIOMEDCLIP, Model.parse("ViT-B-16-SigLIP-384/webli")):
        for here in (True, False):
            entry = entry_of(model, [Published(model, 1_000_000, here, lacking)])
            assert (entry.state, entry.lacking, entry.is_here) == ("extra missing", lacking, False)
            assert state_text(entry).endswith(" · extra missing")


def test_what_an_older_open_clip_does_not_have_is_not_offered() -> None:
    found = entries(Model(), [Published(B16, 1, False)])
    assert [str(entry.model) for entry in found if entry.group == "Recommended"] == ["ViT-B-16/openai"]


@pytest.mark.parametrize(
    ("model", "title", "is_here"),
    [
        (Model(), "demo", True),
        (Model(name="", pretrained="/data/mine.safetensors"), "mine.safetensors", True),
        (Model(name="ViT-B-32", pretrained="C:\\data\\remote.pt"), "remote.pt", True),
        (Model(name="hf-hub:me/mine"), "hf-hub:me/mine", False),
        (Model.parse("ViT-B-16-quickgelu/openai"), "ViT-B-16-quickgelu/openai", False),
    ],
)
def test_the_chosen_model_is_always_in_the_list(model: Model, title: str, is_here: bool) -> None:
    for published in (None, [Published(B16, 1, True)]):
        entry = entry_of(model, published)
        assert entry.title == title == title_of(model)
        assert entry.group == "At hand"
        assert entry.is_here is is_here


@pytest.mark.parametrize(
    ("published", "said"),
    [
        (None, "about 598 MB · looking …"),
        ([Published(B16, 598_482_948, False)], "about 598 MB · not downloaded"),
        ([Published(B16, 598_482_948, True)], "about 598 MB · on this machine"),
    ],
)
def test_size_and_state_in_a_line(published: list[Published] | None, said: str) -> None:
    assert state_text(entry_of(B16, published)) == said
    assert state_text(entry_of(Model(), published)) == "bundled"


@pytest.mark.parametrize(
    ("text", "matches"),
    [("", True), ("b-16", True), ("openai b-16", True), ("PHOTO", True), ("clearclip", True), ("openai laion", False)],
)
def test_finding_by_words(text: str, matches: bool) -> None:
    assert entry_of(B16, None).matches(text) is matches


@pytest.mark.parametrize(
    ("path", "architecture"),
    [
        ("RemoteCLIP-ViT-B-32.pt", "ViT-B-32-quickgelu"),
        ("RS5M_ViT-B-32.pt", "ViT-B-32-quickgelu"),
        ("SkyCLIP_ViT_L14_top30pct/epoch_20.pt", "ViT-L-14"),
        ("my-vit-b-16-quickgelu.bin", "ViT-B-16-quickgelu"),
        ("weights.pt", ""),
    ],
)
def test_architecture_by_file_name(path: str, architecture: str) -> None:
    assert guess_architecture(Path(path)) == architecture


def test_configuration_beside_a_file(tmp_path: Path) -> None:
    assert not has_configuration(tmp_path / "mine.pt")
    (tmp_path / "mine.json").write_text("{}")
    assert has_configuration(tmp_path / "mine.pt")
    assert not has_configuration(tmp_path / "other.pt")
    (tmp_path / "open_clip_config.json").write_text("{}")
    assert has_configuration(tmp_path / "other.pt")


# ----------------------------------------------------------------------------------------------------------------------
# Amounts


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_600, "1.0 MB"),
        (605_109_252, "605 MB"),
        (1_710_466_052, "1.7 GB"),
        (10_158_268_420, "10 GB"),
        (3e18, "3000000 TB"),
    ],
)
def test_bytes(count: int, said: str) -> None:
    assert bytes_text(count) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "1 s"), (89, "89 s"), (90, "2 min"), (3599, "1 h 0 min"), (5000, "1 h 23 min")]
)
def test_seconds(seconds: float, said: str) -> None:
    assert seconds_text(seconds) == said


@pytest.mark.parametrize(
    ("progress", "said"),
    [
        (Progress("Connecting"), "Connecting …"),
        (Progress("Reading windows", 3, 12), "Reading windows: 3 of 12"),
        (Progress("Downloading", 0, 598_000_000, "bytes"), "Downloading: 0 bytes of 598 MB"),
        (
            Progress("Downloading", 98_000_000, 598_000_000, "bytes", 5e6),
            "Downloading: 98 MB of 598 MB, 5.0 MB/s, 2 min left",
        ),
    ],
)
def test_progress(progress: Progress, said: str) -> None:
    assert progress_text(progress) == said
