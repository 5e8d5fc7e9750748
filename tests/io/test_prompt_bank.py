"""Lists of prompts come back as they were, and say in which line something is wrong."""

from __future__ import annotations

import json

import pytest

from napari_clearclip.io.prompt_bank import lines_of, read_prompts, write_prompts
from napari_clearclip.settings import MOST_PROMPTS, Index, Prompt

PROMPTS = (
    Prompt(id="a", phrase="été", synonyms=("木", "bush"), threshold=0.35, color="#0072B2", visible=False, locked=True),
    Prompt(id="b", phrase="road"),
    Prompt(id="c", phrase="sky", kind="distractor", muted=True),
    Prompt(id="d", phrase="wall", synonyms=("fence",), kind="distractor"),
)


def test_json_keeps_every_field(tmp_path):
    write_prompts(tmp_path / "a.json", PROMPTS)
    assert read_prompts(tmp_path / "a.json") == PROMPTS
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_plain_text_keeps_phrases_and_kinds(tmp_path):
    write_prompts(tmp_path / "a.txt", PROMPTS)
    assert (tmp_path / "a.txt").read_text("utf-8") == "été, 木, bush\nroad\n# - sky\n- wall, fence\n"
    read = read_prompts(tmp_path / "a.txt")
    kept = [prompt for prompt in PROMPTS if not prompt.muted]
    assert [(prompt.phrases, prompt.kind) for prompt in read] == [(prompt.phrases, prompt.kind) for prompt in kept]
    assert read[0].model_fields_set == {"phrase", "synonyms", "kind", "index"}


@pytest.mark.parametrize("content", ['[{"phrase": "tree"}]', '{"prompts": [{"phrase": "tree"}]}'])
def test_json_by_hand_may_say_little(tmp_path, content):
    for name in ("a.json", "a.txt"):
        (tmp_path / name).write_text(content)
        (prompt,) = read_prompts(tmp_path / name)
        assert prompt.phrase == "tree"
        assert prompt.model_fields_set == {"phrase"}


def test_text_of_other_systems(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbftree ,  bush\r\n\r\n  # no\r\n -sky\r\n")
    assert [(prompt.phrases, prompt.kind) for prompt in read_prompts(tmp_path / "a.txt")] == [
        (("tree", "bush"), "object"),
        (("sky",), "distractor"),
    ]


def test_lines_have_numbers():
    found = [(line.number, line.text) for line in lines_of("\ntree\n# x\n-\nroad")]
    assert found == [
        (2, "tree"),
        (4, ""),
        (5, "road"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "tree\n\nroad\nbush, Tree\n", r"line 4: “Tree” stands in line 1 already; remove one"),
        ("a.txt", "tree\n-\n", r"line 2: a phrase is empty; write what to look for"),
        ("a.txt", "x" * 501, r"line 1: phrase is .* should have at most 500 characters"),
        ("a.txt", "\n".join(f"p{n}" for n in range(MOST_PROMPTS + 1)), rf"line {MOST_PROMPTS + 1}: at most"),
        ("a.txt", "# nothing\n", r"is empty; write a phrase in each line"),
        ("a.json", '{"prompts": [\n{"phrase": "a"},\n]}', r"is not JSON: .*line \d"),
        ("a.json", "tree\n", r"is not JSON: .*line 1"),
        ("a.json", '{"prompts": [{"phrase": "a", "treshold": 1}]}', r"there is no setting 'prompts\.0\.treshold'"),
        ("a.json", '[{"phrase": "a", "threshold": 2}]', r"prompts\.0\.threshold is 2; it should be less than or equal"),
        ("a.json", '[{"phrase": "a"}, {"phrase": "A"}]', r"the phrase 'A' is given twice; remove one"),
        ("a.json", '{"version": 9}', r"has version 9, but 1 is the newest known; update"),
        ("a.json", "3", r"the content is 3; it should be"),
        ("a.json", "[]", r"is empty"),
    ],
)
def test_a_wrong_list_is_refused_with_the_place(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        read_prompts(tmp_path / name)


def test_files_that_are_no_lists_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"the list .*none\.txt does not exist"):
        read_prompts(tmp_path / "none.txt")
    with pytest.raises(ValueError, match=r"cannot be read: Is a directory"):
        read_prompts(tmp_path)
    (tmp_path / "image.png").write_bytes(b"\x89PNG\r\n\xff\xfe")
    with pytest.raises(ValueError, match=r"is not text in UTF-8"):
        read_prompts(tmp_path / "image.png")
    with (tmp_path / "large.txt").open("wb") as file:
        file.truncate(20_000_000)
    with pytest.raises(ValueError, match=r"is larger than 10,000,000 bytes; choose another file"):
        read_prompts(tmp_path / "large.txt")


@pytest.mark.parametrize(
    "prompt",
    [Prompt(phrase="#1"), Prompt(phrase="- x"), Prompt(phrase="a, b"), Prompt(phrase="a", synonyms=("b, c",))],
    ids=["comment", "distractor", "comma", "comma in a synonym"],
)
def test_what_plain_text_cannot_say_is_refused_and_the_file_stays(tmp_path, prompt):
    (tmp_path / "a.txt").write_text("tree\n")
    with pytest.raises(ValueError, match=r"would be read as something else in plain text; save the list as \.json"):
        write_prompts(tmp_path / "a.txt", (prompt,))
    assert (tmp_path / "a.txt").read_text() == "tree\n"
    write_prompts(tmp_path / "a.json", (prompt,))
    assert read_prompts(tmp_path / "a.json") == (prompt,)


def test_an_unwritable_place_is_named(tmp_path):
    with pytest.raises(OSError, match=r"none/a\.json cannot be written"):
        write_prompts(tmp_path / "none" / "a.json", PROMPTS)


def test_json_is_readable_by_people(tmp_path):
    write_prompts(tmp_path / "a.JSON", PROMPTS)
    assert json.loads((tmp_path / "a.JSON").read_text("utf-8"))["prompts"][0]["phrase"] == "été"


def test_band_expressions_are_kept(tmp_path):
    ndvi = Prompt(id="a", phrase="NDVI", threshold=0.6, index=Index(expression="(nir - red) / (nir + red)"))
    cells = Prompt(id="b", phrase="cells", index=Index(expression="b1", low=4, high=9, otsu=True))
    path = tmp_path / "prompts.json"
    write_prompts(path, (ndvi, cells))
    assert read_prompts(path) == (ndvi, cells)
    write_prompts(tmp_path / "prompts.txt", (ndvi, Prompt(phrase="tree")))
    assert (tmp_path / "prompts.txt").read_text() == "NDVI = (nir - red) / (nir + red)\ntree\n"
    read = read_prompts(tmp_path / "prompts.txt")
    assert [(prompt.phrase, prompt.index) for prompt in read] == [("NDVI", ndvi.index), ("tree", None)]
    with pytest.raises(ValueError, match=r"“cells = b1” would be read as something else in plain text; save"):
        write_prompts(tmp_path / "prompts.txt", (cells,))


def test_an_expression_in_a_list_is_never_run(tmp_path):
    hostile = "x.__class__.__bases__"
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps([{"phrase": "a", "index": {"expression": hostile}}]))
    with pytest.raises(ValueError, match="'x.__class__.__bases__' is not allowed; use numbers, band names"):
        read_prompts(path)
    (tmp_path / "prompts.txt").write_text(f"tree\na = {hostile}\n")
    with pytest.raises(ValueError, match="line 2: .*is not allowed; use numbers, band names"):
        read_prompts(tmp_path / "prompts.txt")


LIGHT = {"id": 3, "name": "traffic_light", "color": "#ff0000"}
COCO = {"images": [], "annotations": [], "categories": [LIGHT, {"id": 9, "name": "дерево 木", "color": [1, 2, 3]}]}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", json.dumps(COCO)),
        ("data.yaml", "path: .\nnames:\n  0: traffic_light\n  1: дерево 木\n"),
        ("b.yml", "nc: 2\nnames: [traffic_light, дерево 木]"),
        ("classes.txt", "traffic_light\nдерево 木\n"),
        ("obj.names", "traffic_light\nдерево 木\n"),
    ],
)
def test_classes_of_data_sets_are_prompts(tmp_path, name, text):
    (tmp_path / name).write_text(text, "utf-8")
    light, tree = read_prompts(tmp_path / name)
    assert (light.phrase, tree.phrase) == ("traffic_light", "дерево 木")
    if name in ("a.json", "data.yaml", "b.yml"):
        assert light.phrases == ("traffic_light", "traffic light")
    assert ("color" in light.model_fields_set) == (name == "a.json")
    assert "color" not in tree.model_fields_set


def test_classes_by_number_are_in_their_order(tmp_path):
    (tmp_path / "a.yaml").write_text("names: {10: k, 2: c, 0: a, 1: b}")
    assert [prompt.phrase for prompt in read_prompts(tmp_path / "a.yaml")] == ["a", "b", "c", "k"]


BOMB = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", BOMB + "names: *i", r"has aliases \(\*name\), which are not read; write each value out"),
        ("a.yaml", "names: {", "is not YAML"),
        ("a.yaml", "!!python/object/apply:os.system [ls]", "is not YAML: could not determine a constructor"),
        ("a.yaml", "[" * 5000, "is not YAML"),
        ("a.yaml", "classes: [a]", "has no names of classes"),
        ("a.yaml", "names: [[a]]", "class 1 has no name"),
        ("a.yaml", "names: [a, b, A]", "the phrase 'A' is given twice"),
        ("a.yaml", "names: [a, ' ']", "class 2: a phrase is empty"),
        ("a.json", '{"categories": 3}', "class 1 has no name"),
        ("a.json", '{"categories": [{"id": 1}]}', "class 1 has no name"),
        ("a.json", '{"categories": []}', "is empty"),
    ],
)
def test_a_wrong_class_list_is_refused(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_prompts(tmp_path / name)
