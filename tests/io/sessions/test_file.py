"""Session files come back equal, old ones are read, and wrong or hostile ones are refused with a sentence."""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_clearclip.edits import Edits, Region, View
from napari_clearclip.io.sessions import (
    VERSION,
    Camera,
    Image,
    Layer,
    Look,
    Pick,
    Placement,
    Read,
    Result,
    Session,
    fingerprint,
    places,
    read,
    write,
)
from napari_clearclip.io.sessions.arrays import name_of
from napari_clearclip.settings import Attention, Index, Model, Prompt, Settings, Tiling

FIRST = Path(__file__).parent / "version1.clearclip"
SOME = Settings(prompts=(Prompt(id="a", phrase="été 木", threshold=0.1 + 0.2), Prompt(id="b", phrase="🌲")))
LABELS = np.arange(6, dtype=np.uint8).reshape(2, 3)


def full() -> Session:
    """A session with a value in every field."""
    image = Image(
        name="é · 1",
        sample=("napari", "camera"),
        reader="napari",
        shape=(4, 2, 3),
        dtype="uint16",
        digest="sha256:ab",
        pixels=np.arange(24, dtype=">u2").reshape(4, 2, 3).astype("u2"),
        placement=Placement(scale=(1, 1 / 3, 2), affine=((1.0, 0.0), (0.0, 1.0)), units=("pixel", "um", "um")),
        look=Look(visible=False, opacity=0.1, contrast_limits=(-1e300, 1e-300), gamma=0.7, colormap="magma"),
        axis=0,
        picks=(Pick(image=0, channel=2), None, Pick(image=0)),
        settings=SOME,
        edits=Edits().paint("a", (1,), LABELS > 2, True).lock("b", (), LABELS > 1).teach("a", (0,), LABELS > 4, False),
        readings=(
            Read(
                plane=(1,),
                model=Model(),
                tiling=Tiling(window=64),
                attention=Attention(terms=("kk",)),
                view=View(channels=(2,)),
            ),
        ),
        results=(
            Result(
                plane=(1,),
                settings=SOME,
                view=View(nodata=-9.5),
                labels=LABELS,
                overlaps=np.zeros((2, 2, 1), np.uint8),
                scores=np.float32([[[0.1]], [[1 / 3]]]),
                cell=(2.0, 3.0),
                valid=LABELS > 3,
            ),
        ),
    )
    layer = Layer(
        name="mine",
        image=0,
        data=np.array([[2**40, 0]], np.int64),
        colors=((None, (0.0, 0.0, 0.0, 0.0)), (1, (0.1, 0.2, 0.3, 1.0))),
        classes=((1, "tree"),),
        objects=((2**40, "木"),),
        features={"index": (1, None), "name": ("a", "b"), "ok": (True, False), "area": (0.1, 2.0)},
        metadata={"note": [1, {"x": None}], "k": 2.5},
    )
    return Session(images=(image,), layers=(layer,), current=0, prompt="b", camera=Camera(center=(0, 1), zoom=0.3))


def contents(session: Session) -> tuple[Any, ...]:
    return session.images, session.layers, session.current, session.prompt, session.camera


def test_every_field_comes_back(tmp_path: Path) -> None:
    write(tmp_path / "a.clearclip", full())
    found = read(tmp_path / "a.clearclip")
    assert contents(found) == contents(full())
    assert found.version == VERSION
    assert found.written > "2026"


def test_arrays_are_plain_npy_that_numpy_reads(tmp_path: Path) -> None:
    write(tmp_path / "a.clearclip", full())
    with zipfile.ZipFile(tmp_path / "a.clearclip") as archive:
        content = json.loads(archive.read("session.json"))
        reference = content["images"][0]["results"][0]["labels"]
        found = np.load(io.BytesIO(archive.read(name_of(reference["sha256"]))), allow_pickle=False)
    np.testing.assert_array_equal(found, LABELS)


def test_equal_arrays_are_kept_once(tmp_path: Path) -> None:
    layers = tuple(Layer(name=name, data=LABELS.copy()) for name in "abc")
    write(tmp_path / "a.clearclip", Session(layers=layers))
    with zipfile.ZipFile(tmp_path / "a.clearclip") as archive:
        assert len(archive.namelist()) == 2


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (70, 30)])
@pytest.mark.parametrize("dtype", ["?", "i1", ">i4", "u8", "f2", "f8"])
def test_arrays_of_every_kind(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    data = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    write(tmp_path / "a.clearclip", Session(layers=(Layer(name="a", data=data.T),)))
    (layer,) = read(tmp_path / "a.clearclip").layers
    assert layer.data.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(layer.data, data.T)


def test_an_array_larger_than_what_is_written_at_once(tmp_path: Path) -> None:
    data = np.arange(3_000_000 * 7, dtype=np.uint32).astype(np.uint8).reshape(3_000_000, 7)
    write(tmp_path / "a.clearclip", Session(layers=(Layer(name="a", data=data),)))
    np.testing.assert_array_equal(read(tmp_path / "a.clearclip").layers[0].data, data)


def test_an_array_of_objects_is_refused(tmp_path: Path) -> None:
    layer = Layer(name="a", data=np.array([{}, None], object))
    with pytest.raises(ValueError, match="an array of object cannot be kept in a session; it must hold numbers"):
        write(tmp_path / "a.clearclip", Session(layers=(layer,)))
    assert not list(tmp_path.iterdir())


def test_the_image_is_named_as_seen_from_the_session(tmp_path: Path) -> None:
    image = Image(name="a", path=str(tmp_path / "images" / "a.tif"))
    (tmp_path / "work").mkdir()
    write(tmp_path / "work" / "a.clearclip", Session(images=(image,)))
    (found,) = read(tmp_path / "work" / "a.clearclip").images
    assert found.relative == "../images/a.tif"
    moved = tmp_path / "x" / "work" / "a.clearclip"
    assert [Path(os.path.normpath(place)) for place in places(found, moved)] == [
        tmp_path / "images" / "a.tif",
        tmp_path / "x" / "images" / "a.tif",
    ]


# Settings and edits of any kind

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PROMPTS = st.builds(
    lambda phrase, threshold, color, visible, index: Prompt(
        phrase=f"a{phrase}", threshold=threshold, color=f"#{color:06x}", visible=visible, index=index
    ),
    TEXT,
    st.floats(0, 1),
    st.integers(0, 0xFFFFFF),
    st.booleans(),
    st.none() | st.builds(lambda low: Index(expression="(a - b) / 3", low=low), st.floats(-1e30, 1e30)),
)
STROKES = st.tuples(
    st.sampled_from(["paint", "teach", "lock", "find"]),
    st.sampled_from(["a", "b", "ü"]),
    st.lists(st.integers(0, 5), max_size=2).map(tuple),
    st.tuples(*[st.integers(0, 600)] * 4),
    st.booleans(),
)


def applied(edits: Edits, stroke: tuple[Any, ...]) -> Edits:
    kind, prompt, plane, (top, left, height, width), on = stroke
    region = Region.of(np.ones((height % 90 + 1, width % 90 + 1), bool), (top, left))
    if kind == "paint":
        return edits.paint(prompt, plane, region, on)
    if kind == "teach":
        return edits.teach(prompt, plane, region, on)
    return edits.lock(prompt, plane, region) if kind == "lock" else edits.find_similar(prompt, plane, region)


@settings(max_examples=40, deadline=None)
@given(
    prompts=st.lists(PROMPTS, max_size=6, unique_by=lambda prompt: prompt.phrase.casefold()),
    strokes=st.lists(STROKES, max_size=8),
)
def test_settings_and_edits_come_back(tmp_path_factory: Any, prompts: list[Prompt], strokes: list[Any]) -> None:
    edits = Edits()
    for stroke in strokes:
        edits = applied(edits, stroke)
    session = Session(images=(Image(name="a", settings=Settings(prompts=tuple(prompts)), edits=edits),))
    path = tmp_path_factory.getbasetemp() / "any.clearclip"
    write(path, session)
    assert read(path).images == session.images


# What names an image


def test_fingerprint_of_a_small_image_is_of_every_value() -> None:
    data = np.zeros((5, 7), np.uint16)
    other = data.copy()
    other[4, 6] = 1
    assert fingerprint(data) == fingerprint(data.astype(">u2")) == fingerprint(np.asfortranarray(data))
    assert len({fingerprint(each) for each in (data, other, data.T, data.view(np.int16))}) == 4


class Sea:
    """An image too large for the memory, in which the value of a pixel follows from where it is."""

    dtype = np.dtype(np.uint8)

    def __init__(self, value: int = 0) -> None:
        self.shape = (40, 100_000, 100_000)
        self.value = value
        self.largest = 0

    def __getitem__(self, index: tuple[Any, ...]) -> Any:
        plane, rows, cols = index
        self.largest = max(self.largest, (rows.stop - rows.start) * (cols.stop - cols.start))
        return np.full((rows.stop - rows.start, cols.stop - cols.start), self.value + (plane == -1), np.uint8)


def test_fingerprint_of_an_image_larger_than_the_memory() -> None:
    sea = Sea()
    assert fingerprint(sea).startswith("blocks:")
    assert fingerprint(sea) == fingerprint(Sea())
    assert fingerprint(sea) != fingerprint(Sea(1))
    assert sea.largest <= 128 * 128


# Earlier versions


def test_the_first_version_is_read() -> None:
    found = read(FIRST)
    (image,), (layer,) = found.images, found.layers
    assert (found.version, found.current, image.name, layer.name) == (VERSION, 0, "photo", "photo · star accepted")
    assert image.settings is not None
    assert [prompt.phrase for prompt in image.settings.objects] == ["star"]
    assert image.edits.painting("s", ()).on.mask((4, 5)).tolist() == np.eye(4, 5).astype(bool).tolist()
    assert layer.image == 0
    np.testing.assert_array_equal(layer.data, np.eye(4, 5, dtype=np.uint8))


# Wrong and hostile files


def changed(change: Callable[[dict[str, bytes]], Any], **options: Any) -> bytes:
    """A session file whose entries were changed."""
    buffer = io.BytesIO()
    write_to = Path(os.environ["PYTEST_SCRATCH"]) / "good.clearclip"
    write(write_to, full())
    with zipfile.ZipFile(write_to) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content, **options)
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_SCRATCH", str(tmp_path))


def rewrite(key: str, value: Any) -> Callable[[dict[str, bytes]], None]:
    """Change a value in the JSON; `key` is its place, with dots."""

    def change(entries: dict[str, bytes]) -> None:
        content = json.loads(entries["session.json"])
        *parents, last = (int(part) if part.isdigit() else part for part in key.split("."))
        target = content
        for part in parents:
            target = target[part]
        target[last] = value
        entries["session.json"] = json.dumps(content).encode()

    return change


def first_array(entries: dict[str, bytes]) -> str:
    return name_of(json.loads(entries["session.json"])["layers"][0]["data"]["sha256"])


def npy(array: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, **options)
    return buffer.getvalue()


DATA = "layers.0.data"
TOO_MUCH = base64.b64encode(zlib.compress(bytes(2**24))).decode()
CASES: dict[str, tuple[Callable[[dict[str, bytes]], Any], str]] = {
    "a name that leaves the folder": (lambda e: e.update({"../../evil.py": b"x"}), "its entry '../../evil.py' belongs"),
    "an absolute name": (lambda e: e.update({"/etc/passwd": b"x"}), "its entry '/etc/passwd' belongs to no session"),
    "no JSON": (lambda e: e.pop("session.json"), "it has no session.json"),
    "JSON that is none": (lambda e: e.update({"session.json": b"{"}), "is not JSON: "),
    "JSON that is not UTF-8": (lambda e: e.update({"session.json": b"\xff\xfe"}), "can't decode byte 0xff"),
    "JSON that is a list": (lambda e: e.update({"session.json": b"[]"}), "its session.json is no object"),
    "JSON that is deep": (lambda e: e.update({"session.json": b"[" * 200_000}), "is not JSON: "),
    "a newer version": (rewrite("version", 99), "has version 99, but 2 is the newest known; update"),
    "an older one than the first": (rewrite("version", 0), "version '0' is not known; there are 1 to 2"),
    "no version": (rewrite("version", None), "version 'None' is not known"),
    "version 1 without its image": (rewrite("version", 1), "it lacks what version 1 has: 'image'"),
    "an unknown key": (rewrite("evil", 1), "there is no setting 'evil'"),
    "a value out of range": (rewrite("images.0.settings.prompts.0.threshold", 7), "threshold is 7; it should be less"),
    "a missing array": (lambda e: e.pop(first_array(e)), "it has no entry arrays/[0-9a-f]{64}.npy"),
    "an array's name with a path": (rewrite(DATA + ".sha256", "../../../etc/passwd"), "is not 64 hexadecimal digits"),
    "an array instead of its name": (rewrite(DATA, [1, 2]), "an array is expected, or the reference to one"),
    "a huge shape": (rewrite(DATA + ".shape", [2**40, 2**40]), "would unpack to more than 17,179,869,184 bytes"),
    "a shape that overflows": (rewrite(DATA + ".shape", [2**47] * 32), "would unpack to more than"),
    "a shape below zero": (rewrite(DATA + ".shape", [-1, 2]), "the shape .* of an array is no list of sizes"),
    "another shape": (rewrite(DATA + ".shape", [2, 1]), "is not the array that is said to be in it"),
    "a type that is none": (rewrite(DATA + ".dtype", "|O"), "the type '|O' of an array is none of plain numbers"),
    "a type of records": (rewrite(DATA + ".dtype", "u1,u1"), "the type 'u1,u1' of an array is none"),
    "bytes that are no npy": (lambda e: e.update({first_array(e): b"0" * 144}), "magic string is not correct"),
    "an array that was changed": (
        lambda e: e.update({first_array(e): npy(np.array([[3, 0]], np.int64), version=(2, 0))}),
        "is damaged: its values are others than its name says",
    ),
    "an array that is cut off": (lambda e: e.update({first_array(e): e[first_array(e)][:-1]}), "npy is cut off"),
    "an array with more behind it": (
        lambda e: e.update({first_array(e): e[first_array(e)] + b"0"}),
        "npy is longer than it should be",
    ),
    "bits that unpack to more than a tile": (
        rewrite("images.0.edits.painted.0.on.tiles", [[0, 0, TOO_MUCH]]),
        "has 8193 bytes of bits, not 8192",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), CASES.values(), ids=CASES)
def test_a_wrong_file_is_refused_with_a_sentence(tmp_path: Path, change: Any, message: str) -> None:
    path = tmp_path / "bad.clearclip"
    path.write_bytes(changed(change))
    with pytest.raises(ValueError, match=message) as error:
        read(path)
    assert str(path) in str(error.value)
    assert str(error.value).startswith("the session ")
    assert "\n" not in str(error.value)


class Evil:
    """Something that leaves a trace when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, (os.environ["PYTEST_SCRATCH"] + "/trace",)


def test_a_pickle_is_never_run(tmp_path: Path) -> None:
    data = npy(np.array([Evil()], object), allow_pickle=True)
    (tmp_path / "bad.clearclip").write_bytes(changed(lambda e: e.update({first_array(e): data})))
    with pytest.raises(ValueError, match="is no .npy of version 2|are said to be in it"):
        read(tmp_path / "bad.clearclip")
    assert not (tmp_path / "trace").exists()
    pickle.loads(pickle.dumps(Evil()))
    assert (tmp_path / "trace").exists()  # it would have


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_session_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.clearclip").write_bytes(content)
    with pytest.raises(ValueError, match="is damaged or no session file|it has no session.json"):
        read(tmp_path / "bad.clearclip")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a.clearclip does not exist"):
        read(tmp_path / "a.clearclip")
    with pytest.raises(ValueError, match="cannot be read: Is a directory"):
        read(tmp_path)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    whole = changed(lambda entries: None)
    path = tmp_path / "cut.clearclip"
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="the session"):
            read(path)


@pytest.mark.parametrize("at", range(30, 3000, 211))
def test_a_flipped_bit_is_noticed_or_changes_nothing(tmp_path: Path, at: int) -> None:
    data = bytearray(changed(lambda entries: None))
    data[at % len(data)] ^= 0x10
    path = tmp_path / "flipped.clearclip"
    path.write_bytes(data)
    try:
        found = read(path)
    except ValueError as error:
        assert str(path) in str(error)  # noqa: PT017 - either way is right
    else:
        assert contents(found) == contents(full())


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.clearclip"
    zeros = b"\0" * 2**20
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("session.json", "w", force_zip64=True) as file,
    ):
        for _ in range(600):
            file.write(zeros)
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_DATA, (2**29, 2**29))\n"
        "from pathlib import Path; from napari_clearclip.io.sessions import read\n"
        f"try: read(Path({str(path)!r}))\n"
        "except ValueError as error: sys.exit(str(error))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "its session.json is larger than 536,870,912 bytes" in done.stderr


def test_an_encrypted_or_otherwise_compressed_entry_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.clearclip"
    path.write_bytes(changed(lambda entries: None, compress_type=zipfile.ZIP_LZMA))
    with pytest.raises(ValueError, match="'session.json' is compressed in a way that sessions are not"):
        read(path)


def test_the_schema_names_every_field() -> None:
    schema = Session.model_json_schema()
    assert set(schema["properties"]) == set(Session.model_fields)
    assert schema["$defs"]["Layer"]["properties"]["data"]["properties"].keys() == {"sha256", "shape", "dtype"}
