"""Parts of blocks against loops in float64 and against the towers themselves, on random weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import timm
import torch

from napari_clearclip.engine.anatomy import (
    blocks_of,
    entropy,
    feed_forward_angles,
    last_block,
    norms_of,
    shares_of,
)
from napari_clearclip.engine.encoder import encode, project
from napari_clearclip.engine.towers import tower_of
from napari_clearclip.engine.variants import variant
from napari_clearclip.settings import Attention


def images_for(clip: Any, number: int = 2) -> torch.Tensor:
    side = [clip.grid[0] * clip.patch, (clip.grid[1] + 1) * clip.patch]
    return torch.randn(number, 3, *side, generator=torch.Generator().manual_seed(5))


def test_entropy_is_that_of_one_softmax_over_all_entries() -> None:
    part = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0)) * 3
    for image, found in zip(part, entropy(part), strict=True):
        exponents = [math.exp(value) for value in image.flatten().tolist()]
        shares = [value / sum(exponents) for value in exponents]
        expected = -sum(share * math.log(share) for share in shares) / math.log(20)
        assert float(found) == pytest.approx(expected, abs=1e-12)


def test_entropy_is_1_of_a_constant_and_0_of_a_spike() -> None:
    assert float(entropy(torch.full((1, 7, 9), 4.0))) == pytest.approx(1, abs=1e-12)
    spike = torch.zeros(1, 7, 9)
    spike[0, 3, 3] = 2000  # all other shares underflow
    assert float(entropy(spike)) == 0


@pytest.mark.parametrize("architecture", ["patch8", "patch14"])
def test_a_block_is_the_sum_of_its_parts(architecture: str, clips: dict[str, Any]) -> None:
    clip = clips[architecture][0]
    images = images_for(clip)
    tower = clip.tower
    found = list(blocks_of(tower, images))
    assert len(found) == clip.depth
    with torch.inference_mode():
        for index, parts in enumerate(found):
            tokens = encode(clip, images, clip.depth - index).tokens
            torch.testing.assert_close(parts.residual, tokens[:, 1:], atol=1e-5, rtol=0)
            after = tower.block(index, tokens)[:, 1:]
            torch.testing.assert_close(parts.total + tower.feed(index, parts.total), after, atol=1e-5, rtol=1e-5)


def test_a_plain_tower_of_timm_has_parts_too() -> None:
    torch.manual_seed(0)
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 3, "num_heads": 4}
    visual = timm.create_model("vit_base_patch16_224", num_classes=0, **sizes).eval()
    tower, images = tower_of(visual), torch.randn(1, 3, 32, 32)
    found = list(blocks_of(tower, images))
    with torch.inference_mode():
        fed = tower.feed(2, found[-1].total)
        expected = visual.forward_features(images)[:, 1:]
        torch.testing.assert_close(visual.norm(found[-1].total + fed), expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(tower.share(fed, fed) + visual.norm.bias, visual.norm(fed), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["clearclip", "vanilla", "sclip", "naclip", "maskclip", "resclip"])
def test_shares_are_those_of_a_loop_and_sum_to_the_features(name: str, clips: dict[str, Any]) -> None:
    clip, _, state = clips["patch14"]
    row = variant(name)
    trunk = encode(clip, images_for(clip), row.entry)
    shares = shares_of(clip, trunk, row)
    whole = project(clip, trunk, row.replace(residual=1, ffn=0, alpha=1))
    torch.testing.assert_close(sum(shares.values()), whole.vectors, atol=1e-5, rtol=0)
    tokens, attended = last_block(clip, trunk, row)
    gamma, beta = (state[f"visual.ln_post.{part}"].double() for part in ("weight", "bias"))
    proj, cols = state["visual.proj"].double(), trunk.grid[1]
    for at in (0, 5, 11):
        place = 1, at // cols, at % cols
        residual, added = tokens[1, 1 + at].double(), attended[1, 1 + at].double()
        total = residual + added
        spread = math.sqrt(float(((total - total.mean()) ** 2).mean()) + 1e-5)
        joint = ((total - total.mean()) / spread * gamma + beta) @ proj
        for part, tensor in (("x_res", residual), ("x_attn", added)):
            expected = ((tensor - tensor.mean()) / spread * gamma) @ proj / joint.norm()
            torch.testing.assert_close(shares[part][place], expected.float(), atol=1e-5, rtol=0)
        torch.testing.assert_close(shares["bias"][place], (beta @ proj / joint.norm()).float(), atol=1e-5, rtol=0)


def test_attention_in_the_last_block_is_what_the_row_without_residual_projects(clips: dict[str, Any]) -> None:
    clip = clips["patch8"][0]
    trunk = encode(clip, images_for(clip))
    _, attended = last_block(clip, trunk, variant("sclip"))
    unit = torch.nn.functional.normalize(clip.tower.read(attended)[:, 1:], dim=-1)
    expected = project(clip, trunk, Attention(terms=("qq", "kk"))).vectors.flatten(1, 2)
    torch.testing.assert_close(unit, expected, atol=1e-5, rtol=0)


def test_norms_are_those_of_numpy() -> None:
    part = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(1))
    frobenius, mean = norms_of(part)
    for image, one, other in zip(part.numpy(), frobenius, mean, strict=True):
        assert float(one) == pytest.approx(float(np.linalg.norm(image)), abs=1e-5)
        assert float(other) == pytest.approx(float(np.mean([np.linalg.norm(token) for token in image])), abs=1e-5)


def test_angles_are_between_the_network_and_what_comes_out(clips: dict[str, Any]) -> None:
    clip = clips["patch8"][0]
    trunk = encode(clip, images_for(clip))
    found = feed_forward_angles(clip, trunk, variant("vanilla"))
    assert found.shape == (2, *trunk.grid)
    tower = clip.tower
    with torch.inference_mode():
        after = tower.block(2, trunk.tokens)
        tokens, attended = last_block(clip, trunk, variant("vanilla"))
    for at in range(3):
        out = after[0, 1 + at].double()
        fed = out - (tokens + attended)[0, 1 + at].double()
        cosine = float(fed @ out / fed.norm() / out.norm())
        assert float(found[0].flatten()[at]) == pytest.approx(math.degrees(math.acos(cosine)), abs=1e-2)
