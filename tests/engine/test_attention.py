"""Every row of the table against a loop written from the formula, the authors' tensors, and open_clip itself."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.neighbors import LocalOutlierFactor

from napari_clearclip.engine.attention import attend, neighbourhood_bias
from napari_clearclip.engine.encoder import embed_images, encode, prepare, project
from napari_clearclip.engine.projections import register_projection
from napari_clearclip.engine.tower import resample_positions
from napari_clearclip.engine.variants import VARIANTS, unmet, variant
from napari_clearclip.settings import Attention

State = dict[str, torch.Tensor]

# ----------------------------------------------------------------------------------------------------------------------
# The reference: float64, one head and one image at a time, written from the formulas.


def softmax(logits: torch.Tensor) -> torch.Tensor:
    exponents = torch.exp(logits - logits.max(dim=1, keepdim=True).values)
    return exponents / exponents.sum(dim=1, keepdim=True)


def clustered(a: torch.Tensor, scale: float, iterations: int) -> torch.Tensor:
    """Rows of length 1 that have attended to each other."""
    a = a / a.norm(dim=1, keepdim=True)
    for _ in range(iterations):
        a = softmax(scale * a @ a.T) @ a
        a = a / a.norm(dim=1, keepdim=True)
    return a


def cosines(a: torch.Tensor) -> torch.Tensor:
    a = a / a.norm(dim=1, keepdim=True)
    return a @ a.T


def shares(likeness: torch.Tensor) -> torch.Tensor:
    """Rows that sum to 1, of likeness from 0.4 on."""
    kept = torch.tensor([[value if value >= 0.4 else 0.0 for value in row] for row in likeness.tolist()]).double()
    return kept / kept.sum(dim=1, keepdim=True)


def mended(a: torch.Tensor, wrong: Any, grid: tuple[int, int]) -> torch.Tensor:
    """Patches (N, C), wrong ones the mean of those around them that are right."""
    a, old = a.clone(), a
    for i in range(len(a)):
        around = [j for j in range(len(a)) if j != i and not wrong[j] and adjoin(i, j, grid[1])]
        if wrong[i] and around:
            a[i] = old[around].mean(dim=0)
    return a


def adjoin(i: int, j: int, across: int) -> bool:
    (y, x), (y2, x2) = divmod(i, across), divmod(j, across)
    return abs(y - y2) <= 1 and abs(x - x2) <= 1


def learned_matrix(width: int) -> torch.Tensor:
    return torch.randn(width, width, generator=torch.Generator().manual_seed(99)) ** 3


class Reference:
    """A vision tower in float64 whose last blocks are computed by loops."""

    def __init__(self, state: State, head_width: int, quick_gelu: bool) -> None:
        visual = {key: value for key, value in state.items() if key.startswith("visual.")}
        self.state = {key.removeprefix("visual."): value.double() for key, value in visual.items()}
        self.heads = self.state["class_embedding"].numel() // head_width
        self.quick_gelu = quick_gelu
        self.depth = 1 + max(int(key.split(".")[2]) for key in self.state if key.startswith("transformer.resblocks."))

    def norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        spread = x - x.mean(-1, keepdim=True)
        unit = spread / torch.sqrt((spread**2).mean(-1, keepdim=True) + 1e-5)
        return unit * self.state[f"{name}.weight"] + self.state[f"{name}.bias"]

    def mlp(self, x: torch.Tensor, block: str) -> torch.Tensor:
        hidden = x @ self.state[f"{block}.mlp.c_fc.weight"].T + self.state[f"{block}.mlp.c_fc.bias"]
        if self.quick_gelu:
            hidden = hidden / (1 + torch.exp(-1.702 * hidden))
        else:
            hidden = hidden * (1 + torch.special.erf(hidden / math.sqrt(2))) / 2
        return hidden @ self.state[f"{block}.mlp.c_proj.weight"].T + self.state[f"{block}.mlp.c_proj.bias"]

    def own_maps(self, x: torch.Tensor, block: str) -> list[torch.Tensor]:
        """CLIP's own attention (L, L) of each head."""
        packed = self.norm(x, f"{block}.ln_1") @ self.state[f"{block}.attn.in_proj_weight"].T
        q, k, _ = (packed + self.state[f"{block}.attn.in_proj_bias"]).chunk(3, dim=-1)
        width = q.shape[1] // self.heads
        parts = [slice(head * width, (head + 1) * width) for head in range(self.heads)]
        return [softmax(q[:, part] @ k[:, part].T / math.sqrt(width)) for part in parts]

    def projected(self, u: torch.Tensor, row: Attention) -> list[torch.Tensor]:
        """u after each of the row's matrices: the one that was learned, or random ones in float32, one by one."""
        if row.projection:
            return [u @ learned_matrix(u.shape[1]).double()]
        generator = torch.Generator().manual_seed(row.seed)
        width = u.shape[1]
        return [u @ torch.randn(width, width, generator=generator).double() for _ in range(row.projections)]

    def attention(
        self,
        x: torch.Tensor,
        block: str,
        row: Attention,
        grid: tuple[int, int],
        middle: list[list[torch.Tensor]],
        alike: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """O(A v) of one image's tokens x (L, C); with `alike`, of the patches (N, C) alone."""
        u = self.norm(x, f"{block}.ln_1")
        packed = u @ self.state[f"{block}.attn.in_proj_weight"].T
        q, k, v = (packed + self.state[f"{block}.attn.in_proj_bias"]).chunk(3, dim=-1)
        width = q.shape[1] // self.heads
        outputs = []
        for head in range(self.heads):
            part = slice(head * width, (head + 1) * width)
            views = {"q": q[:, part], "k": k[:, part], "v": v[:, part]}
            weights = torch.zeros(len(x), len(x), dtype=torch.float64)
            for term in row.terms:
                if term == "identity":
                    weights += torch.eye(len(x), dtype=torch.float64)
                elif term in ("uu", "random"):
                    count = row.projections if term == "random" else 1
                    for flat in self.projected(u, row) if term == "random" else [u]:
                        factor = (q**2).mean() / (flat**2).mean()
                        logits = factor * flat[:, part] @ flat[:, part].T / (row.temperature * math.sqrt(width))
                        weights += softmax(logits) / count
                else:
                    sides = [views[letter] for letter in term]
                    factor = 1.0
                    if row.unit:
                        factor = float(sum(token.norm() for token in u) / len(u))
                        scale = factor / (row.temperature * math.sqrt(width))
                        sides = [clustered(side, scale, row.iterations) for side in sides]
                    logits = factor * sides[0] @ sides[1].T / (row.temperature * math.sqrt(width))
                    first = 1 if alike is None else 0
                    for i in range(first, len(x)) if row.bias else ():
                        for j in range(first, len(x)):
                            (y, x_), (y2, x2) = divmod(i - first, grid[1]), divmod(j - first, grid[1])
                            logits[i, j] += math.exp(-((y - y2) ** 2 + (x_ - x2) ** 2) / (2 * row.bias**2))
                    weights += softmax(logits)
            if alike is not None:
                weights += alike
            if row.cross:
                weights = (1 - row.cross) * weights + row.cross * sum(maps[head] for maps in middle) / len(middle)
            outputs.append(row.gain * weights @ v[:, part])
        joined = torch.cat(outputs, dim=1)
        output = joined @ self.state[f"{block}.attn.out_proj.weight"].T + self.state[f"{block}.attn.out_proj.bias"]
        return output * self.state.get(f"{block}.ls_1.gamma", torch.ones(1, dtype=torch.float64))

    def feed_forward(self, x: torch.Tensor, block: str) -> torch.Tensor:
        scale = self.state.get(f"{block}.ls_2.gamma", torch.ones(1, dtype=torch.float64))
        return self.mlp(self.norm(x, f"{block}.ln_2"), block) * scale

    def trained_block(self, x: torch.Tensor, block: str, grid: tuple[int, int]) -> torch.Tensor:
        x = x + self.attention(x, block, Attention(terms=("qk",)), grid, [])
        return x + self.feed_forward(x, block)

    def renormed(self, middle: list[list[torch.Tensor]]) -> list[list[torch.Tensor]]:
        """Attention (N, N) among patches, as if there were no class token."""
        return [[maps[1:, 1:] / maps[1:, 1:].sum(dim=1, keepdim=True) for maps in heads] for heads in middle]

    def calibrated(
        self,
        entering: list[torch.Tensor],
        block: str,
        row: Attention,
        grid: tuple[int, int],
        middle: list[list[torch.Tensor]],
    ) -> torch.Tensor:
        """What SC-CLIP's description makes of the tokens that enter the last eight blocks, patch by patch."""
        x4, x9, x11 = entering[-8][1:], entering[-3][1:], entering[-1][1:]
        factor = LocalOutlierFactor(n_neighbors=30, contamination=0.05)
        with warnings.catch_warnings():  # fewer patches than neighbours
            warnings.simplefilter("ignore")
            wrong = factor.fit_predict(x11.numpy()) < 0
        assert wrong.any()
        mid = cosines(mended(x9, wrong, grid))
        x = shares(mid) @ mended(x11, wrong, grid)
        alike = torch.zeros_like(mid)
        for i in range(len(mid)):
            kept = [j for j in range(len(mid)) if mid[i, j] >= mid.mean()]
            alike[i, kept] = softmax(3 * (mid[i : i + 1, kept] - mid.mean()))[0]
        weights = shares(cosines(x4))
        assert 0 < (weights == 0).sum() < weights.numel() - len(weights)
        r = sum(entering[-8:-1])
        total, patchwise = torch.zeros_like(x), self.renormed(middle)
        for patches, cls in ((x, entering[-1][0]), (r[1:], r[0])):
            total += weights @ (self.attention(patches, block, row, grid, patchwise, alike) + 0.3 * cls)
        return torch.cat([entering[-1][:1], total])

    def features(self, image: torch.Tensor, row: Attention) -> torch.Tensor:
        """Unnormalised joint vectors (L, D), class token first, of one image (3, H, W) at the trained size."""
        kernel = self.state["conv1.weight"]
        side = kernel.shape[-1]
        grid = (image.shape[1] // side, image.shape[2] // side)
        patches = [
            (kernel * image[None, :, y * side : (y + 1) * side, x * side : (x + 1) * side].double()).sum((1, 2, 3))
            for y in range(grid[0])
            for x in range(grid[1])
        ]
        x = torch.stack([self.state["class_embedding"], *patches]) + self.state["positional_embedding"]
        x = self.norm(x, "ln_pre")
        blocks = [f"transformer.resblocks.{index}" for index in range(self.depth)]
        entering = []
        for block in blocks:
            entering.append(x)
            x = self.trained_block(x, block, grid)
        middle = [self.own_maps(entering[-left], blocks[-left]) for left in (7, 6, 5, 4)] if row.cross else []
        sides = [self.attention(entering[-left], blocks[-left], row, grid, middle) for left in range(1, row.blocks + 1)]
        if row.calibrated:
            sides[0] = self.calibrated(entering, blocks[-1], row, grid, middle)
        origin = entering[-row.blocks] if row.origin == "first" else entering[-1]
        z = row.residual * origin + row.alpha * sum(sides)
        y = z + row.ffn * self.feed_forward(z, blocks[-1])
        if row.own_class:
            y = torch.cat([x[:1], y[1:]])
        return self.norm(y, "ln_post") @ self.state["proj"]


@pytest.fixture(scope="session")
def references(clips: dict[str, Any], architectures: dict[str, Any]) -> dict[str, Reference]:
    return {
        name: Reference(
            state, architectures[name]["vision_cfg"]["head_width"], architectures[name].get("quick_gelu", False)
        )
        for name, (_, _, state) in clips.items()
    }


def images_for(clip: Any, number: int = 2) -> torch.Tensor:
    """Noise with a pattern that all patches have in common, so that some are alike."""
    generator = torch.Generator().manual_seed(5)
    side = [clip.grid[0] * clip.patch, clip.grid[1] * clip.patch]
    common = torch.randn(3, clip.patch, clip.patch, generator=generator).repeat(1, *clip.grid)
    return torch.randn(number, 3, *side, generator=generator) + common


def check(clip: Any, reference: Reference, row: Attention) -> None:
    """Vectors, norms and class token of `project` against the loop."""
    images = images_for(clip)
    features = project(clip, encode(clip, images, row.entry), row)
    for index, image in enumerate(images):
        expected = reference.features(image, row)
        norms = expected.norm(dim=1)
        unit = expected / norms[:, None]
        unit = torch.cat([unit[:1], unit[1:] - row.debias * unit[:1]]).float()
        torch.testing.assert_close(features.vectors[index].flatten(0, 1), unit[1:], atol=1e-5, rtol=0)
        torch.testing.assert_close(features.cls[index], unit[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(features.norms[index].flatten(), norms[1:].float(), atol=1e-4, rtol=1e-4)


# ----------------------------------------------------------------------------------------------------------------------
# The table


@pytest.mark.parametrize("architecture", ["patch8", "patch16", "patch14"])
@pytest.mark.parametrize("name", list(VARIANTS))
def test_every_variant_is_its_formula(
    name: str, architecture: str, clips: dict[str, Any], references: dict[str, Reference]
) -> None:
    clip, row = clips[architecture][0], variant(name)
    if unmet(row, clip.depth):
        with pytest.raises(ValueError, match=f"reads the last {row.entry} blocks, and the model has {clip.depth}"):
            project(clip, encode(clip, images_for(clip)), row)
        return
    check(clip, references[architecture], row)


CELLS = {
    "RC and FFN": Attention(terms=("qq",), residual=1, ffn=1),
    "RC only": Attention(terms=("qq",), residual=1, ffn=0),
    "FFN only": Attention(terms=("qq",), residual=0, ffn=1),
    "neither": Attention(terms=("qq",), residual=0, ffn=0),
}
CUSTOM = {
    "gain": Attention(terms=("qq", "kk", "vv"), gain=1 / 3),
    "half and half": Attention(terms=("vv", "identity"), gain=0.5),
    "sharp": Attention(terms=("kk",), temperature=0.25),
    "flat": Attention(terms=("qk", "identity"), temperature=3, residual=1),
    "alpha": Attention(terms=("qq",), residual=1, alpha=10),
    "no attention": Attention(terms=("qq",), residual=1, alpha=0),
    "half of each": Attention(terms=("vv",), residual=0.5, alpha=2, ffn=0.5),
    "narrow bias": Attention(terms=("kk", "qq"), bias=0.7, ffn=1),
    "unit vectors": Attention(terms=("qk", "vv"), unit=True, temperature=0.5),
    "three iterations": Attention(terms=("kk",), unit=True, iterations=3, bias=2),
    "side path": Attention(terms=("qq",), blocks=3, origin="first", residual=0.5, alpha=2, ffn=1),
    "own class token": Attention(terms=("qq",), own_class=True, debias=0.5),
    "four projections": Attention(terms=("random", "uu"), projections=4, seed=7, temperature=2),
    "two blocks": Attention(terms=("qq",), blocks=2),
    "two blocks, all parts": Attention(terms=("kk", "identity"), blocks=2, residual=1, ffn=1, bias=2, gain=0.5),
}


@pytest.mark.parametrize("architecture", ["patch8", "patch16"])
@pytest.mark.parametrize("row", [*CELLS.values(), *CUSTOM.values()], ids=[*CELLS, *CUSTOM])
def test_every_number_of_a_row_is_read(
    row: Attention, architecture: str, clips: dict[str, Any], references: dict[str, Reference]
) -> None:
    check(clips[architecture][0], references[architecture], row)


def test_six_blocks(clips: dict[str, Any], references: dict[str, Reference]) -> None:
    check(clips["patch14"][0], references["patch14"], Attention(terms=("vv",), blocks=6))


CALIBRATED = {
    "with residual and FFN": {"terms": ("qq", "identity"), "residual": 0.5, "ffn": 1, "alpha": 2},
    "with bias": {"terms": ("kk",), "bias": 2},
    "with its own class token": {"terms": ("qq",), "debias": 0.3, "own_class": False},
    "over two blocks": {"terms": ("vv",), "blocks": 2},
    "with other blocks' attention": {"terms": ("kk",), "cross": 0.4},
}


@pytest.mark.parametrize("changes", CALIBRATED.values(), ids=CALIBRATED)
def test_what_calibration_goes_with(
    changes: dict[str, Any], clips: dict[str, Any], references: dict[str, Reference]
) -> None:
    row = Attention.model_validate({"calibrated": True, "own_class": True, **changes})
    check(clips["patch14"][0], references["patch14"], row)


@pytest.mark.parametrize("blocks", [1, 2])
def test_middle_blocks_are_mixed_in(blocks: int, clips: dict[str, Any], references: dict[str, Reference]) -> None:
    row = Attention(terms=("qq", "kk"), cross=0.7, gain=0.5, blocks=blocks, temperature=0.5)
    check(clips["patch14"][0], references["patch14"], row)


def test_random_projections_are_of_their_seed(clips: dict[str, Any]) -> None:
    clip = clips["patch8"][0]
    trunk = encode(clip, images_for(clip))
    rows = [Attention(terms=("random",), seed=seed) for seed in (1, 1, 2)]
    one, again, other = (project(clip, trunk, row).vectors for row in rows)
    assert torch.equal(one, again)
    assert (one - other).abs().max() > 1e-3


def test_a_learned_projection_is_used_by_its_name(clips: dict[str, Any], references: dict[str, Reference]) -> None:
    clip = clips["patch8"][0]
    name = register_projection(learned_matrix(clip.tower.channels))
    assert name == register_projection(learned_matrix(clip.tower.channels))
    check(clip, references["patch8"], variant("sclip_random").replace(projection=name))
    images = images_for(clip)
    with pytest.raises(ValueError, match="projection 'none' is not known; read its file"):
        project(clip, encode(clip, images), Attention(terms=("random",), projection="none"))
    other = Attention(terms=("random",), projection=register_projection(torch.eye(5)))
    with pytest.raises(ValueError, match="is for tokens of 5 channels, but the model's have 32"):
        project(clip, encode(clip, images), other)


def test_the_four_cells_differ(clips: dict[str, Any]) -> None:
    clip = clips["patch8"][0]
    trunk = encode(clip, images_for(clip))
    outputs = [project(clip, trunk, row).vectors for row in CELLS.values()]
    for index, one in enumerate(outputs):
        for other in outputs[index + 1 :]:
            assert (one - other).abs().max() > 1e-2


# ----------------------------------------------------------------------------------------------------------------------
# The authors' tensors

TERMS = {"vanilla": ("qk",), "MaskCLIP": ("identity",), "SCLIP": ("qq", "kk"), "ClearCLIP": ("qq",)}
KEPT = {"attn_only": 0, "residual_ffn": 1}


@pytest.mark.parametrize("size", ["32x32", "40x56"])
@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("method", TERMS)
def test_golden_single_window(method: str, kept: str, size: str, golden: Path, golden_clip: Any) -> None:
    images = load_file(golden / "vit_tiny_inputs.safetensors")[f"input.{size}"]
    expected = load_file(golden / "vit_tiny_outputs.safetensors")[f"{method}.{kept}.{size}"]  # (B, h*w, D)
    row = Attention(terms=TERMS[method], residual=KEPT[kept], ffn=KEPT[kept])
    features = project(golden_clip, encode(golden_clip, images), row)
    actual = (features.vectors * features.norms[..., None]).flatten(1, 2)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)


# ----------------------------------------------------------------------------------------------------------------------
# open_clip itself


@pytest.mark.parametrize("architecture", ["patch8", "patch16", "patch14"])
def test_vanilla_class_token_is_encode_image(architecture: str, clips: dict[str, Any]) -> None:
    clip, model, _ = clips[architecture]
    images = images_for(clip, 3)
    with torch.inference_mode():
        expected = model.encode_image(images, normalize=True)
    torch.testing.assert_close(embed_images(clip, images), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("blocks", [1, 2])
def test_no_variant_modifies_the_model(blocks: int, clips: dict[str, Any]) -> None:
    clip, _, state = clips["patch8"]
    images = images_for(clip)
    for entry in VARIANTS.values():
        row = entry.row.replace(blocks=blocks, cross=0, calibrated=False)
        project(clip, encode(clip, images, blocks), row)
    after = clip.model.state_dict()
    assert after.keys() == state.keys()
    assert all(torch.equal(after[name], state[name]) for name in state)


def test_a_trunk_for_other_blocks_is_refused(clips: dict[str, Any]) -> None:
    clip = clips["patch8"][0]
    trunk = encode(clip, images_for(clip), blocks=1)
    with pytest.raises(ValueError, match="trunk ends before the last 1 blocks, but the variant reads 2"):
        project(clip, trunk, Attention(blocks=2))


def test_one_window_of_a_batch_is_the_window_alone(clips: dict[str, Any]) -> None:
    clip = clips["patch16"][0]
    images = images_for(clip, 3)
    trunk = encode(clip, images)
    features = project(clip, trunk, Attention())
    alone = project(clip, encode(clip, images[1:2]), Attention())
    assert trunk[1].tokens.shape == (1, *trunk.tokens.shape[1:])
    assert trunk.nbytes == trunk.tokens.nelement() * 4
    assert features[1].nbytes * 3 == features.nbytes
    torch.testing.assert_close(features[1].vectors, alone.vectors, atol=1e-5, rtol=0)
    torch.testing.assert_close(features[1].norms, alone.norms, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(features[1].cls, alone.cls, atol=1e-5, rtol=0)


# ----------------------------------------------------------------------------------------------------------------------
# Parts


def test_attend_by_hand() -> None:
    """One head, two tokens of width 1: softmax of [[1, 2], [2, 4]] over values 10 and 20."""
    q, v = torch.tensor([[[[1.0], [2.0]]]]), torch.tensor([[[[10.0], [20.0]]]])
    first = (10 * math.e + 20 * math.e**2) / (math.e + math.e**2)
    second = (10 * math.e**2 + 20 * math.e**4) / (math.e**2 + math.e**4)
    actual = attend({"qq": [(q, q)], "v": [(v, v)]}, Attention(terms=("qq",)), None)
    assert actual.flatten().tolist() == pytest.approx([first, second], rel=1e-6)


def test_terms_are_summed_not_averaged() -> None:
    """Rows of A total the number of terms times the gain: constant values show it."""
    ones = torch.ones(2, 3, 5, 4)
    q, k = torch.randn(2, 3, 5, 4), torch.randn(2, 3, 5, 4)
    parts = {"qq": [(q, q)], "kk": [(k, k), (q, q)], "v": [(ones, ones)]}  # two pairs of one term are averaged
    for terms, gain, total in [(("qq",), 1, 1), (("qq", "kk"), 1, 2), (("qq", "kk", "identity"), 0.5, 1.5)]:
        actual = attend(parts, Attention(terms=terms, gain=gain), None)
        torch.testing.assert_close(actual, torch.full_like(actual, total))


def test_bias_is_a_gaussian_of_patch_distance() -> None:
    bias = neighbourhood_bias((2, 3), 5)
    assert bias.shape == (7, 7)
    assert not bias[0].any()
    assert not bias[:, 0].any()
    assert bias[1, 1] == 1
    assert bias[1, 6].item() == pytest.approx(math.exp(-(1 + 4) / 50))  # patches (0, 0) and (1, 2)
    assert torch.equal(bias, bias.T)


# ----------------------------------------------------------------------------------------------------------------------
# Positions for another grid


def cubic(t: float, a: float) -> float:
    """Keys' cubic kernel."""
    t = abs(t)
    if t < 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * (t**3 - 5 * t**2 + 8 * t - 4) if t < 2 else 0.0


def axis_weights(new: int, old: int, mode: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(new, old) weights along one axis; the lattice of ``dino_scale`` is as if there were new + 0.1 samples."""
    weights = np.zeros((new, old))
    scale = old / (new + 0.1) if mode == "dino_scale" else old / new
    for i in range(new):
        centre = (i + 0.5) * scale - 0.5
        if mode == "size_antialias":  # PyTorch, like Pillow, uses a = -0.5 here, widens the kernel and cuts it off
            wide = max(scale, 1.0)
            row = np.array([cubic((j - centre) / wide, -0.5) for j in range(old)])
            weights[i] = row / row.sum()
        elif mode == "bilinear":
            centre = min(max(centre, 0), old - 1)
            weights[i] = [max(1 - abs(j - centre), 0) for j in range(old)]
        else:
            for j in range(math.floor(centre) - 1, math.floor(centre) + 3):
                weights[i, min(max(j, 0), old - 1)] += cubic(j - centre, -0.75)
    return weights


@pytest.mark.parametrize("grid", [(5, 7), (2, 3), (8, 4), (2, 8)])
@pytest.mark.parametrize("mode", ["dino_scale", "size", "size_antialias", "bilinear"])
def test_positions_are_resampled(mode: str, grid: tuple[int, int]) -> None:
    table = torch.randn(17, 6, generator=torch.Generator().manual_seed(1))
    actual = resample_positions(table, grid, (4, 4), mode)
    rows, cols = axis_weights(grid[0], 4, mode), axis_weights(grid[1], 4, mode)
    expected = np.einsum("ia,jb,abc->ijc", rows, cols, table[1:].double().reshape(4, 4, 6).numpy())
    assert torch.equal(actual[0], table[0])
    torch.testing.assert_close(actual[1:].reshape(*grid, 6).double(), torch.from_numpy(expected), atol=1e-4, rtol=0)


def test_the_trained_grid_keeps_its_table() -> None:
    table = torch.randn(17, 6)
    assert resample_positions(table, (4, 4), (4, 4), "dino_scale") is table


def test_windows_are_normalised_then_padded_evenly(clips: dict[str, Any]) -> None:
    clip = clips["patch8"][0]
    pixels = torch.rand(1, 13, 16, 3)
    images = prepare(clip, pixels)
    assert images.shape == (1, 3, 16, 16)
    assert not images[:, :, 0].any()  # 3 rows are missing: one above, two below
    assert not images[:, :, -2:].any()
    for channel, (mean, std) in enumerate(
        [(0.48145466, 0.26862954), (0.4578275, 0.26130258), (0.40821073, 0.27577711)]
    ):
        expected = (pixels[0, :, :, channel] - mean) / std
        torch.testing.assert_close(images[0, channel, 1:14], expected, atol=1e-6, rtol=1e-5)
