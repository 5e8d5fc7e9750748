"""Label maps of data sets: one whole number a pixel, the class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_clearclip.io.images import UnreadableImageError, read_image

_NUMBERS = ("1", "L", "P", "I", "I;16", "I;16B")  # modes of pillow whose pixels are numbers


def read_label_map(path: Path) -> npt.NDArray[np.int64]:
    """The label of each pixel, (H, W).

    Parameters
    ----------
    path : Path
        PNG, grey or with a palette, of which the indices count and not the colours; or a TIFF of whole numbers.

    Raises
    ------
    UnreadableImageError
        If the file is missing or damaged, or holds colours or fractions.
    """
    if path.suffix.lower() in (".tif", ".tiff", ".npy"):
        data = np.asarray(read_image(path).data)
        if data.ndim != 2 or data.dtype.kind not in "biu":
            raise UnreadableImageError(
                f"{path} holds {data.dtype} values of shape {data.shape}; a label map has one whole number a pixel"
            )
        return data.astype(np.int64)
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.mode not in _NUMBERS:
                raise UnreadableImageError(
                    f"{path} holds colours ({image.mode}); a label map has one whole number a pixel"
                )
            return np.asarray(image).astype(np.int64)
    except FileNotFoundError as error:
        raise UnreadableImageError(f"{path} does not exist") from error
    except UnreadableImageError:
        raise
    except (OSError, SyntaxError, ValueError) as error:
        raise UnreadableImageError(f"{path} cannot be read as a label map: {error}") from error
