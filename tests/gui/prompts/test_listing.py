"""Settings with prompts added, changed, moved or removed, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from napari_clearclip.gui.prompts import listing
from napari_clearclip.io.prompt_bank import lines_of, read_prompts, write_prompts
from napari_clearclip.settings import COLORS, Model, Prompt, Settings


def settings(*phrases: str) -> Settings:
    made = Settings(model=Model.parse("ViT-B-16/openai"))  # of a full vocabulary
    for phrase in phrases:
        made = listing.added(made, phrase)
    return made


def test_added_prompts_come_before_the_distractors_and_have_colours_of_their_own() -> None:
    made = listing.added(settings("road"), "sky", "distractor")
    made = listing.added(made, "tree, bush")
    assert [prompt.phrase for prompt in made.prompts] == ["road", "tree", "sky"]
    assert [prompt.color for prompt in made.objects] == list(COLORS[:2])


def test_colours_are_used_again_when_all_are_taken() -> None:
    made = settings(*(f"thing {number}" for number in range(len(COLORS) + 1)))
    assert made.objects[-1].color == COLORS[0]
    assert listing.next_color(listing.removed(made, {made.objects[3].id})) in COLORS[1:]


def test_a_new_prompt_takes_the_threshold_that_all_have() -> None:
    made = settings("road", "tree")
    made = listing.changed(made, {prompt.id for prompt in made.objects}, threshold=0.4)
    assert listing.added(made, "car").objects[-1].threshold == 0.4
    made = listing.changed(made, {made.objects[0].id}, threshold=0.9)
    assert listing.added(made, "car").objects[-1].threshold == Prompt(phrase="x").threshold


@pytest.mark.parametrize(
    ("text", "words"),
    [("  ", "A phrase is empty"), ("ROAD", "in the list already"), ("car, road", "in the list already")],
    ids=["empty", "duplicate", "duplicate synonym"],
)
def test_refused_in_a_sentence(text: str, words: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011  # the sentence is what is tested
        listing.added(settings("road"), text)
    said = listing.sentence(error.value)
    assert words in said
    assert said[-1] == "."
    assert "\n" not in said


def test_a_phrase_of_unknown_words_only_is_refused(tmp_path: Path) -> None:
    weights = tmp_path / "small.safetensors"
    weights.with_suffix(".json").write_text(json.dumps({"clearclip": {"vocabulary": ["road", "red"]}}))
    small = Settings(model=Model(name="", pretrained=str(weights)))
    made = listing.added(small, "red zebra")
    with pytest.raises(ValueError, match="knows no word of 'zebra'"):
        listing.added(made, "zebra")
    with pytest.raises(ValueError, match="knows no word of 'zebra'"):
        listing.changed(made, {made.objects[0].id}, text="zebra")
    assert listing.added(made, "zebra", "distractor").distractors


def test_editing_to_a_duplicate_is_refused() -> None:
    made = settings("road", "tree")
    with pytest.raises(ValueError, match="in the list already"):
        listing.changed(made, {made.objects[1].id}, text="Road")
    assert listing.changed(made, {made.objects[1].id}, text="TREE").objects[1].phrase == "TREE"


def test_another_model_brings_its_distractors_unless_they_were_changed() -> None:
    aerial = Model(name="RemoteCLIP-ViT-B-32", pretrained="remoteclip.pt")
    general = Model(name="ViT-B-16", pretrained="openai")
    first = listing.with_model(settings("road"), general)
    second = listing.with_model(first, aerial)
    assert second.distractors != first.distractors
    mine = listing.added(first, "my own", "distractor")
    assert listing.with_model(mine, aerial).distractors == mine.distractors


def test_range_errors_name_the_field() -> None:
    made = settings("road")
    with pytest.raises(ValueError) as error:  # noqa: PT011
        listing.changed(made, {made.objects[0].id}, threshold=3)
    assert listing.sentence(error.value).startswith("Threshold: ")


def small(tmp_path: Path) -> Settings:
    """Settings whose model knows two words."""
    weights = tmp_path / "small.safetensors"
    weights.with_suffix(".json").write_text(json.dumps({"clearclip": {"vocabulary": ["road", "red"]}}))
    return Settings(model=Model(name="", pretrained=str(weights)))


def phrases(made: Settings) -> list[str]:
    return [prompt.phrase for prompt in made.prompts]


def id_of(made: Settings, phrase: str) -> str:
    return next(prompt.id for prompt in made.prompts if prompt.phrase == phrase)


def test_several_lines_and_what_is_left_out_in_one_sentence(tmp_path: Path) -> None:
    made, refused = listing.added_lines(small(tmp_path), lines_of("red\nzebra\nRed\nroad\nsofa\n- sky\n-"))
    assert phrases(made) == ["red", "road", "sky"]
    assert made.objects[1].color == COLORS[1]
    said = listing.report(refused, 3)
    assert said == (
        "Added 3 of 7; left out “zebra” and “sofa” (no word that this model knows); “Red” (in the list already); "
        "“” (A phrase is empty; write what to look for)."
    )
    assert listing.report((), 3) == ""


def test_a_long_report_is_cut_short() -> None:
    refused = [(f"p{number}", "“x” is in the list already.") for number in range(9)]
    assert listing.report(refused, 0) == (
        "Added 0 of 9; left out “p0”, “p1”, “p2”, “p3” and 5 more (in the list already)."
    )


@pytest.mark.parametrize(
    ("moving", "before", "expected"),
    [
        (["c"], "a", ["c", "a", "b", "sky", "wall"]),
        (["a"], None, ["b", "c", "a", "sky", "wall"]),
        (["a", "c"], "b", ["a", "c", "b", "sky", "wall"]),
        (["wall"], "sky", ["a", "b", "c", "wall", "sky"]),
        (["nobody"], "a", ["a", "b", "c", "sky", "wall"]),
    ],
)
def test_moved(moving: list[str], before: str | None, expected: list[str]) -> None:
    made = settings("a", "b", "c")
    for phrase in ("sky", "wall"):
        made = listing.added(made, phrase, "distractor")
    ids = {phrase: id_of(made, phrase) for phrase in phrases(made)}
    moved = listing.moved(made, [ids.get(phrase, phrase) for phrase in moving], ids.get(before or ""))
    assert phrases(moved) == expected


def test_a_copy_has_all_but_words_colour_and_lock() -> None:
    made = settings("road", "tree")
    first = made.objects[0].id
    made = listing.changed(made, (first,), threshold=0.7, locked=True, visible=False)
    copied = listing.duplicated(made, first, "dirt road, track")
    assert phrases(copied) == ["road", "dirt road", "tree"]
    copy = copied.objects[1]
    assert (copy.synonyms, copy.threshold, copy.locked, copy.visible) == (("track",), 0.7, False, True)
    assert copy.color == COLORS[2]
    assert copy.id != first
    with pytest.raises(ValueError, match="in the list already"):
        listing.duplicated(made, first, "Road")


def test_a_prompt_becomes_a_distractor_and_back() -> None:
    made = listing.added(settings("road", "tree"), "sky", "distractor")
    road, sky = id_of(made, "road"), id_of(made, "sky")
    other = listing.with_kind(listing.changed(made, (road,), locked=True), road, "distractor")
    assert [(prompt.phrase, prompt.kind, prompt.locked) for prompt in other.prompts] == [
        ("tree", "object", False),
        ("sky", "distractor", False),
        ("road", "distractor", False),
    ]
    back = listing.with_kind(listing.with_kind(other, road, "object"), sky, "object")
    assert [prompt.phrase for prompt in back.objects] == ["tree", "road", "sky"]
    assert [prompt.color for prompt in back.objects] == [COLORS[1], COLORS[0], COLORS[2]]


def test_a_prompt_that_is_a_distractor_already_stays(tmp_path: Path) -> None:
    made = listing.added(settings("sky"), "sky", "distractor")
    with pytest.raises(ValueError, match="“sky” is in the list of distractors already"):
        listing.with_kind(made, made.objects[0].id, "distractor")
    made = listing.added(small(tmp_path), "zebra", "distractor")
    with pytest.raises(ValueError, match="knows no word of 'zebra'"):
        listing.with_kind(made, made.prompts[0].id, "object")


def test_thresholds_of_locked_prompts_stay() -> None:
    made = settings("road", "tree", "car")
    ids = [prompt.id for prompt in made.objects]
    made = listing.changed(made, (ids[1],), locked=True)
    made = listing.with_thresholds(made, {ids[0]: 0.6, ids[1]: 0.7, "gone": 0.8})
    assert [prompt.threshold for prompt in made.objects] == [0.6, 0.2, 0.2]


def test_without_objects_the_distractors_stay() -> None:
    made = listing.without_objects(listing.added(settings("road"), "sky", "distractor"))
    assert phrases(made) == ["sky"]


# Lists from files


def test_a_list_comes_back_as_it_was(tmp_path: Path) -> None:
    made = listing.added(settings("road", "tree, bush"), "sky", "distractor")
    made = listing.changed(made, (made.objects[1].id,), threshold=0.9, color="#123456", visible=False)
    write_prompts(tmp_path / "a.json", made.prompts)
    assert listing.opened(settings("car"), read_prompts(tmp_path / "a.json")) == (made, ())


def test_a_plain_list_keeps_what_it_does_not_say(tmp_path: Path) -> None:
    made = listing.added(settings("road", "tree"), "sky", "distractor")
    made = listing.changed(made, (made.objects[1].id,), threshold=0.9, locked=True, synonyms=("bush",))
    (tmp_path / "a.txt").write_text("Tree\ncar\n")
    opened, refused = listing.opened(made, read_prompts(tmp_path / "a.txt"))
    assert refused == ()
    assert phrases(opened) == ["Tree", "car", "sky"]
    tree, car = opened.objects
    assert (tree.id, tree.threshold, tree.locked, tree.synonyms) == (made.objects[1].id, 0.9, True, ())
    assert (car.color, car.threshold) == (COLORS[0], 0.2)
    assert opened.prompts[2] == made.prompts[2]


def test_distractors_of_a_list_take_the_place_of_the_others(tmp_path: Path) -> None:
    made = listing.added(settings("road"), "sky", "distractor")
    opened, _ = listing.opened(made, (Prompt.parse("car"), Prompt.parse("wall", kind="distractor")))
    assert phrases(opened) == ["car", "wall"]
    assert opened.prompts[1].color == "#808080"


def test_a_lock_is_not_taken_from_a_list() -> None:
    opened, _ = listing.opened(settings("road"), (Prompt(phrase="car", locked=True),))
    assert not opened.objects[0].locked


def test_phrases_of_a_list_that_the_model_does_not_know_are_left_out(tmp_path: Path) -> None:
    opened, refused = listing.opened(small(tmp_path), (Prompt.parse("red"), Prompt.parse("zebra, horse")))
    assert phrases(opened) == ["red"]
    assert [text for text, _ in refused] == ["zebra, horse"]


def test_a_refusal_is_a_sentence_or_nothing() -> None:
    made = settings("road")
    assert listing.refusal(lambda: listing.added(made, "tree")) == ""
    assert listing.refusal(lambda: listing.added(made, "")).startswith("A phrase is empty")
