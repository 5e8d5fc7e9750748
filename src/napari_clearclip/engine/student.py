"""Students of MaskCLIP+: convolutional networks that give each place of an image a vector in a CLIP's text space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from napari_clearclip.engine.download import downloaded
from napari_clearclip.engine.weights import fill, read_state
from napari_clearclip.study import stride_of

if TYPE_CHECKING:
    from napari_clearclip.study import Architecture

DILATIONS = (6, 12, 18, 24)
_CHANNELS = (24, 48, 96, 128)  # of the small student, at 1/2, 1/4, 1/8 and 1/16


class Student(nn.Module):
    """An image tower that stands in the place of a CLIP's own.

    Parameters
    ----------
    body : nn.Module
        Images (B, 3, H, W) to maps (B, C, H / stride, W / stride).
    last : nn.Module
        Maps (..., C) to vectors (..., D), place by place.
    stride : int
        Pixels from one vector to the next.
    width : int
        D, the size of the text space.

    Notes
    -----
    Its vectors are compared with text vectors as they are, without normalisation and without temperature, while it
    learns (`classify`); later by their cosine, as those of every model.
    """

    def __init__(self, body: nn.Module, last: nn.Module, stride: int, width: int) -> None:
        super().__init__()
        self.body = body
        self.last = last
        self.stride = stride
        self.output_dim = width

    @property
    def patch_size(self) -> tuple[int, int]:
        """Height and width in pixels of what one vector stands for."""
        return self.stride, self.stride

    @property
    def grid_size(self) -> tuple[int, int]:
        """Rows and columns of vectors of an image of 224 pixels; any other size is as good."""
        return 224 // self.stride, 224 // self.stride

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Vectors (B, h, w, D) of normalised images (B, 3, H, W), whose sides are multiples of the stride."""
        vectors: torch.Tensor = self.last(self.body(images).permute(0, 2, 3, 1))  # (B, h, w, D)
        return vectors

    def work(self, grid: tuple[int, int]) -> float:
        """Floating point operations on an image of a grid of vectors, about."""
        weights = sum(value.numel() for value in self.parameters())
        return float(weights * grid[0] * grid[1])

    def tokens(self, images: torch.Tensor) -> torch.Tensor:
        """What `last` makes vectors of, one row a place (B, 1 + h * w, C); the first row is their mean."""
        rows = self.body(images).flatten(2).transpose(1, 2)  # (B, h*w, C)
        return torch.cat([rows.mean(dim=1, keepdim=True), rows], dim=1)


def classify(vectors: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
    """Logits (B, Q, h, w) of vectors (B, h, w, D): a 1 x 1 convolution whose weights are the text vectors (Q, D).

    References
    ----------
    Zhou et al., Extract Free Dense Labels from CLIP, ECCV 2022, section 3.3: the classifier of MaskCLIP+ is frozen.
    """
    return functional.conv2d(vectors.permute(0, 3, 1, 2), texts[:, :, None, None])


def build_student(architecture: Architecture, width: int) -> Student:
    """An untrained student whose vectors have `width` numbers."""
    if architecture == "small":
        return Student(_Small(_CHANNELS), nn.Linear(_CHANNELS[1], width), stride_of(architecture), width)
    depth = int(architecture.removeprefix("deeplab"))
    return Student(_DeepLab(depth, width), nn.Identity(), stride_of(architecture), width)


class _DeepLab(nn.Module):
    """DeepLab-v2: a ResNet with dilated last stages, then the sum of parallel dilated convolutions.

    References
    ----------
    Chen et al., DeepLab: Semantic Image Segmentation with Deep Convolutional Nets, Atrous Convolution, and Fully
    Connected CRFs, TPAMI 2018, section 3.2.
    """

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        import timm

        self.trunk = timm.create_model(backbone(depth), features_only=True, output_stride=8, out_indices=(4,))
        channels = getattr(self.trunk, "feature_info").channels()[-1]  # noqa: B009  # torch types it as Tensor | Module
        self.head = nn.ModuleList(
            nn.Conv2d(channels, width, 3, padding=dilation, dilation=dilation) for dilation in DILATIONS
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        (maps,) = self.trunk(images)
        summed = self.head[0](maps)
        for convolution in self.head[1:]:
            summed = summed + convolution(maps)
        return torch.as_tensor(summed)  # (B, D, H / 8, W / 8)


def load_imagenet(student: Student, architecture: Architecture) -> bool:
    """Start a DeepLab student's ResNet from ImageNet's weights where timm has them on this machine; whether it has."""
    if architecture == "small":
        return False
    name = backbone(int(architecture.removeprefix("deeplab")))
    path = downloaded(f"timm/{name}.gluon_in1k", ("model.safetensors", "pytorch_model.bin"))
    if path is None:
        return False
    trunk: Any = student.body.trunk
    state = read_state(path)
    fill(trunk, {key: value for key, value in state.items() if not key.startswith("fc.")}, path)
    return True


def backbone(depth: int) -> str:
    """Timm's name of the ResNet with three small convolutions in the place of the first large one (v1c)."""
    return f"resnet{depth}c"


def _norm(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


class _Block(nn.Module):
    """Two dilated 3 x 3 convolutions beside a skip."""

    def __init__(self, before: int, after: int, dilation: int = 1) -> None:
        super().__init__()
        options: dict[str, Any] = {"padding": dilation, "dilation": dilation, "bias": False}
        self.path = nn.Sequential(
            nn.Conv2d(before, after, 3, **options),
            _norm(after),
            nn.Conv2d(after, after, 3, **options),
            nn.BatchNorm2d(after),
        )
        self.skip = nn.Identity() if before == after else nn.Conv2d(before, after, 1, bias=False)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return functional.relu(torch.as_tensor(self.path(maps)) + self.skip(maps))


class _Small(nn.Module):
    """Down to a sixteenth, where it sees 448 pixels around, and up again to a quarter of the image.

    Every step down takes the mean of, or a kernel around, whole groups of pixels, so that each output is centred on the
    pixels it stands for.
    """

    def __init__(self, channels: tuple[int, int, int, int]) -> None:
        super().__init__()
        first, fine, middle, coarse = channels
        self.stem = nn.Sequential(
            nn.Conv2d(3, first, 4, stride=2, padding=1, bias=False),
            _norm(first),
            nn.Conv2d(first, fine, 4, stride=2, padding=1, bias=False),
            _norm(fine),
        )  # 1/4
        self.down = _Block(fine, middle)  # 1/8
        self.far = nn.Sequential(_Block(middle, coarse), _Block(coarse, coarse, 2), _Block(coarse, coarse, 4))  # 1/16
        self.up_middle = nn.Conv2d(coarse, middle, 1)
        self.at_middle = nn.Sequential(nn.Conv2d(middle, fine, 3, padding=1, bias=False), _norm(fine))
        self.at_fine = nn.Sequential(nn.Conv2d(fine, fine, 3, padding=1, bias=False), _norm(fine))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        fine = self.stem(images)
        middle = self.down(_halved(fine))
        coarse = self.up_middle(self.far(_halved(middle)))
        middle = self.at_middle(middle + _as_large_as(coarse, middle))
        maps: torch.Tensor = self.at_fine(fine + _as_large_as(middle, fine))
        return maps


def _halved(maps: torch.Tensor) -> torch.Tensor:
    return functional.avg_pool2d(maps, 2, ceil_mode=True)


def _as_large_as(maps: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(maps, size=other.shape[2:], mode="bilinear", align_corners=False)
