"""Students compute what their formulas say, and are loaded and used like any model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from napari_clearclip.engine.encoder import embed_images, encode, prepare, project
from napari_clearclip.engine.model import ModelError, load
from napari_clearclip.engine.sizes import sizes_of
from napari_clearclip.engine.student import DILATIONS, build_student, classify, load_imagenet
from napari_clearclip.engine.text import embed
from napari_clearclip.job import filled_in
from napari_clearclip.settings import Attention, Model, Settings, Tiling
from napari_clearclip.study import Card, Study, read_card
from napari_clearclip.training.student import save_weights

TILING = {"short_side": 64, "window": 32, "stride": 24}


@pytest.fixture(scope="module")
def student_file(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student with random weights of the tiny model."""
    teacher = load(Model(name="", pretrained=str(tiny)))
    torch.manual_seed(5)
    student = build_student("small", teacher.width)
    path = tmp_path_factory.mktemp("student") / "student.safetensors"
    save_weights(student, path)
    card = Card(
        architecture="small",
        width=teacher.width,
        teacher=Model(name="", pretrained=str(tiny)),
        teacher_key=teacher.weights,
        phrases=("tree", "sky"),
        images=("a.png",),
        study=Study(),
        clearclip={"tiling": TILING, "distractors": ["sky"]},
    )
    path.with_suffix(".json").write_text(card.model_dump_json())
    return path


def test_the_small_student_gives_a_vector_every_four_pixels() -> None:
    student = build_student("small", 24).eval()
    vectors = student(torch.rand(2, 3, 64, 36))
    assert vectors.shape == (2, 16, 9, 24)
    assert student.patch_size == (4, 4)


def test_the_small_student_is_centred_on_its_pixels() -> None:
    """What mirrors the image and all kernels mirrors the vectors: no place looks further to one side than the other."""
    student = build_student("small", 8).eval()
    image = torch.rand(1, 3, 64, 64)
    there = student(image)
    with torch.no_grad():
        for module in student.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.copy_(module.weight.flip(3))
    torch.testing.assert_close(student(image.flip(3)).flip(2), there, rtol=1e-4, atol=1e-5)


def test_the_classifier_is_a_product_with_each_text_vector() -> None:
    rng = np.random.default_rng(0)
    vectors, texts = rng.normal(size=(2, 3, 4, 5)).astype(np.float32), rng.normal(size=(6, 5)).astype(np.float32)
    logits = classify(torch.from_numpy(vectors), torch.from_numpy(texts)).numpy()
    for batch, word, row, col in np.ndindex(2, 6, 3, 4):
        assert logits[batch, word, row, col] == pytest.approx(
            vectors[batch, row, col] @ texts[word], rel=1e-4, abs=1e-5
        )


@pytest.mark.parametrize("architecture", ["deeplab50", "deeplab101"])
def test_deeplab_sums_its_dilated_convolutions(architecture: str) -> None:
    student = build_student(architecture, 6).eval()
    assert student.stride == 8
    maps = torch.from_numpy(np.random.default_rng(1).normal(size=(1, 2048, 7, 30)).astype(np.float32))
    depth = sum(len(getattr(student.body.trunk, f"layer{stage}")) for stage in (1, 2, 3, 4))
    assert depth == {"deeplab50": 16, "deeplab101": 33}[architecture]
    student.body.trunk = _Fixed(maps)
    found = student(torch.zeros(1, 3, 56, 240))[0]  # (7, 30, 6)
    for row, col in ((0, 0), (3, 15), (6, 29)):
        wanted = torch.zeros(6)
        for convolution, dilation in zip(student.body.head, DILATIONS, strict=True):
            wanted += convolution.bias
            for down in (-1, 0, 1):
                for across in (-1, 0, 1):
                    y, x = row + down * dilation, col + across * dilation
                    if 0 <= y < 7 and 0 <= x < 30:
                        wanted += convolution.weight[:, :, down + 1, across + 1] @ maps[0, :, y, x]
        torch.testing.assert_close(found[row, col], wanted, rtol=1e-3, atol=1e-4)


def test_deeplab_has_a_vector_every_eight_pixels() -> None:
    student = build_student("deeplab50", 6).eval()
    with torch.no_grad():
        assert student(torch.rand(1, 3, 64, 72)).shape == (1, 8, 9, 6)


def test_deeplab_starts_from_imagenet_where_its_weights_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    student = build_student("deeplab50", 6)
    monkeypatch.setattr("napari_clearclip.engine.student.downloaded", lambda *_: None)
    assert not load_imagenet(student, "deeplab50")
    torch.manual_seed(9)
    published = timm.create_model("resnet50c")
    save_file(published.state_dict(), tmp_path / "model.safetensors")
    asked = []
    monkeypatch.setattr(
        "napari_clearclip.engine.student.downloaded",
        lambda name, _: asked.append(name) or tmp_path / "model.safetensors",
    )
    assert load_imagenet(student, "deeplab50")
    assert asked == ["timm/resnet50c.gluon_in1k"]
    found = student.body.trunk.state_dict()
    for name, value in published.state_dict().items():
        assert name.startswith("fc.") or torch.equal(found[name], value)
    assert not load_imagenet(build_student("small", 6), "small")


class _Fixed(nn.Module):
    def __init__(self, maps: torch.Tensor) -> None:
        super().__init__()
        self.maps = maps

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return [self.maps]


def test_a_loaded_student_sees_by_itself_and_reads_by_its_teacher(student_file: Path, tiny: Path) -> None:
    clip, teacher = load(Model(name="", pretrained=str(student_file))), load(Model(name="", pretrained=str(tiny)))
    assert (clip.patch, clip.width, clip.has_variants) == (4, teacher.width, False)
    assert clip.tiling == Tiling(**TILING)
    assert clip.key != teacher.key
    assert teacher.has_variants
    torch.testing.assert_close(embed(clip, ["a tree"], "single"), embed(teacher, ["a tree"], "single"))
    images = prepare(clip, torch.rand(2, 30, 32, 3))
    features = project(clip, encode(clip, images), Attention())
    torch.manual_seed(5)
    direct = build_student("small", teacher.width).eval()(images)
    torch.testing.assert_close(features.vectors, functional.normalize(direct, dim=-1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(features.norms, direct.norm(dim=-1), rtol=1e-4, atol=1e-5)
    mean = functional.normalize(direct.mean(dim=(1, 2)), dim=-1)
    torch.testing.assert_close(embed_images(clip, images), mean, rtol=1e-4, atol=1e-5)


def test_variants_change_nothing_of_a_student(student_file: Path) -> None:
    clip = load(Model(name="", pretrained=str(student_file)))
    settings = Settings(
        model=Model(name="", pretrained=str(student_file)), attention=Attention(terms=("kk",), blocks=3)
    )
    assert filled_in(settings, clip).attention == Attention()


def test_what_is_known_of_a_student_before_it_is_loaded(student_file: Path) -> None:
    sizes = sizes_of(Model(name="", pretrained=str(student_file)))
    assert sizes is not None
    assert (sizes.patch, sizes.tiling, sizes.variants) == (4, Tiling(**TILING), False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"teacher_key": "another-gelu"}, "has other weights now; train the student again"),
        ({"teacher": {"name": "", "pretrained": "gone.safetensors"}}, "whose text tower it needs, and that cannot be"),
        ({"width": 0}, "is not a student's card: width"),
        ({"width": 23}, "has another size of last.weight"),
    ],
)
def test_a_student_without_what_it_needs_is_refused(
    student_file: Path, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = tmp_path / "broken.safetensors"
    path.write_bytes(student_file.read_bytes())
    card = json.loads(student_file.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**card, **change}))
    with pytest.raises(ModelError, match=message):
        load(Model(name="", pretrained=str(path)))


def test_a_student_without_weights_is_refused(student_file: Path, tmp_path: Path) -> None:
    (tmp_path / "lost.json").write_bytes(student_file.with_suffix(".json").read_bytes())
    with pytest.raises(ModelError, match="does not exist; check the path"):
        load(Model(name="", pretrained=str(tmp_path / "lost.safetensors")))


def test_other_models_have_no_card(tiny: Path, tmp_path: Path) -> None:
    assert read_card(tiny) is None
    assert read_card(tmp_path / "nothing.safetensors") is None
