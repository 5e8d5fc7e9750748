"""Each kind of tower, taken apart and put together again, against itself; all with random weights."""

from __future__ import annotations

from typing import Any

import open_clip
import pytest
import timm
import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from torch.nn import functional

from napari_clearclip.engine.encoder import embed_images, encode, heads_of, outputs_of, project
from napari_clearclip.engine.towers import tower_of
from napari_clearclip.engine.variants import VARIANTS, unmet, variant
from napari_clearclip.settings import Attention


class Analysed:
    """As much of a loaded model as there is without words."""

    def __init__(self, visual: torch.nn.Module) -> None:
        self.model = type("Model", (), {"visual": visual})()
        self.tower = tower_of(visual)
        self.patch, self.depth, self.grid = self.tower.patch, self.tower.depth, self.tower.grid
        self.device, self.dtype, self.has_variants = "cpu", torch.float32, True


def shaken(visual: torch.nn.Module) -> torch.nn.Module:
    """Random weights that make attention uneven, biases and norms included."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, value in visual.named_parameters():
            spread = torch.randn(value.shape, generator=generator)
            scale = 0.3 if value.ndim < 2 else 1.5 / value[0].numel() ** 0.5
            value.copy_(value * ("norm" in name or "bn" in name or "gamma" in name) + scale * spread)
    return visual.eval().requires_grad_(False)


def small(name: str, **options: Any) -> torch.nn.Module:
    """A tower of timm's with the parts of a published one, and few and narrow blocks."""
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 8, "num_heads": 4}
    return timm.create_model(name, **{**sizes, **options})


def timm_model(trunk: torch.nn.Module, head: torch.nn.Module | None = None) -> TimmModel:
    """open_clip's wrapper around a trunk."""
    model = TimmModel.__new__(TimmModel)
    torch.nn.Module.__init__(model)
    model.trunk, model.head = trunk, head or torch.nn.Sequential()
    return model


TOWERS = {
    "siglip": lambda: timm_model(small("vit_base_patch16_siglip_224", num_classes=0)),
    "siglip2": lambda: timm_model(small("vit_base_patch16_siglip_gap_224", num_classes=0, global_pool="map")),
    "eva02": lambda: timm_model(small("eva02_base_patch16_clip_224", num_classes=24)),
    "eva": lambda: timm_model(small("eva_giant_patch14_clip_224", num_classes=24, qkv_fused=True)),
    "biomedclip": lambda: timm_model(
        small("vit_base_patch16_224", num_classes=0),
        torch.nn.Sequential(torch.nn.Linear(48, 64), torch.nn.GELU(), torch.nn.Linear(64, 24, bias=False)),
    ),
    "plain": lambda: small("vit_base_patch16_224", num_classes=0, init_values=0.1),
    "resnet": lambda: ModifiedResNet([1, 1, 1, 1], output_dim=24, heads=4, image_size=64, width=8),
    "clip": lambda: open_clip.transformer.VisionTransformer(32, 8, 48, 3, 4, 4.0, output_dim=24),
}


@pytest.fixture(scope="module", params=TOWERS)
def tower(request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(0)
    return Analysed(shaken(TOWERS[request.param]()))


def images_for(clip: Any, rows: int = 0, cols: int = 0) -> torch.Tensor:
    shape = [(side + more) * clip.patch for side, more in zip(clip.grid, (rows, cols), strict=True)]
    return torch.randn(2, 3, *shape, generator=torch.Generator().manual_seed(5))


def test_unchanged_and_pooled_it_is_the_towers_own_embedding(tower: Any) -> None:
    images = images_for(tower)
    with torch.inference_mode():
        own = tower.model.visual(images)
    assert own.shape[1] == tower.tower.width
    torch.testing.assert_close(embed_images(tower, images), functional.normalize(own, dim=-1), atol=1e-5, rtol=0)


def test_every_block_taken_apart_is_the_block(tower: Any) -> None:
    if not tower.tower.has_residual:
        pytest.skip("an attention pool is no block")
    row = variant("vanilla")
    images = images_for(tower, 1, 2)
    own = tower.tower.at((tower.grid[0] + 1, tower.grid[1] + 2))
    for blocks in range(1, tower.depth + 1):
        deep = encode(tower, images, tower.depth - blocks + 1)
        expected = own.block(tower.depth - 1, deep.tokens) if blocks == tower.depth else None
        if expected is not None:
            found = project(tower, deep, row)
            unit = functional.normalize(own.read(expected)[:, own.prefix :], dim=-1)
            torch.testing.assert_close(found.vectors.flatten(1, 2), unit, atol=1e-5, rtol=0)


def test_queries_keys_values_and_outputs_that_are_known_change_no_bit(tower: Any) -> None:
    """However they were asked for; but a ResNet's values have no places where they are asked for alone."""
    trunk = encode(tower, images_for(tower, 1, 0))
    heads = {**heads_of(tower, trunk, "v"), **heads_of(tower, trunk, "kq")}
    for terms in (("qq",), ("qk", "identity", "kk"), ("identity",)):
        row = Attention(terms=terms, bias=2, gain=0.7, temperature=0.8, residual=float(tower.tower.has_residual))
        known = {term: outputs_of(tower, trunk, row.alone(term), heads)[term] for term in terms}
        found, expected = (project(tower, trunk, row, known=part).vectors for part in (known, None))
        assert torch.equal(found, expected) == (tower.tower.has_residual or terms == ("identity",))
    assert not torch.equal(project(tower, trunk, row, known={"identity": 2 * heads["v"]}).vectors, found)


@pytest.mark.parametrize("name", list(VARIANTS))
def test_each_variant_runs_or_says_what_is_missing(name: str, tower: Any) -> None:
    row = variant(name)
    lacking = unmet(row, tower.depth, bool(tower.tower.prefix), tower.tower.has_residual)
    images = images_for(tower, 1, 0)
    if lacking:
        with pytest.raises(ValueError, match=lacking.split(",")[0].rstrip(".")):
            project(tower, encode(tower, images, min(row.entry, tower.depth)), row)
        return
    features = project(tower, encode(tower, images, row.entry), row)
    assert features.vectors.shape == (2, tower.grid[0] + 1, tower.grid[1], tower.tower.width)
    assert features.vectors.isfinite().all()


def test_a_token_read_by_itself_is_pooled_alone() -> None:
    """SigLIP's attention pool on one token is a softmax over one: its value."""
    clip = Analysed(shaken(TOWERS["siglip"]()))
    tokens = torch.randn(5, 1, 48)
    read = clip.tower.read(tokens)
    torch.testing.assert_close(read[:, 0], clip.tower.pool(tokens, read), atol=1e-5, rtol=0)


def test_rotary_positions_are_those_of_the_grid() -> None:
    """A wider image is what timm computes for a tower that is made for it."""
    torch.manual_seed(0)
    trunk = shaken(small("eva02_base_patch16_clip_224", num_classes=24, dynamic_img_size=True, use_abs_pos_emb=False))
    clip = Analysed(timm_model(trunk))
    images = images_for(clip, 0, 3)
    with torch.inference_mode():
        own = trunk(images)
    torch.testing.assert_close(embed_images(clip, images), functional.normalize(own, dim=-1), atol=1e-5, rtol=0)


def test_maskclip_on_a_resnet_is_two_layers_at_every_place() -> None:
    torch.manual_seed(0)
    visual = shaken(TOWERS["resnet"]())
    clip = Analysed(visual)
    images = images_for(clip, 1, 0)
    found = project(clip, encode(clip, images), Attention(terms=("identity",)))
    with torch.inference_mode():
        maps = visual.layer4(visual.layer3(visual.layer2(visual.layer1(visual.stem(images)))))
        pool = visual.attnpool
        value = pool.v_proj.weight[:, :, None, None], pool.v_proj.bias
        last = pool.c_proj.weight[:, :, None, None], pool.c_proj.bias
        expected = functional.conv2d(functional.conv2d(maps, *value), *last).permute(0, 2, 3, 1)
    torch.testing.assert_close(found.vectors, functional.normalize(expected, dim=-1), atol=1e-5, rtol=0)


def test_other_towers_are_refused() -> None:
    with pytest.raises(ValueError, match="of the kind Linear cannot be taken apart"):
        tower_of(torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="registers or gated attention cannot be taken apart"):
        tower_of(small("vit_base_patch16_224", num_classes=0, reg_tokens=2))
