"""One image file to one square array of bytes: everything that Pillow does for `divergan import`."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF")  # no other: Pillow would start Ghostscript on a hidden EPS


def opened(path: Path) -> Image.Image:
    """The image in `path` as 8-bit RGB, upright: the first frame, 16 bits rounded to 8, alpha laid over white.

    Images of more pixels than Pillow's MAX_IMAGE_PIXELS (89 million) are refused, as a small file can hold them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=FORMATS) as file:
            image = ImageOps.exif_transpose(file)
    if image.mode.startswith("I;16"):
        image = Image.fromarray(np.rint(np.asarray(image) / 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("its values have 32 bits, and nothing says which of them is white")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image.convert("RGB")


def square(image: Image.Image, size: int, grey: bool) -> np.ndarray:
    """uint8 (C, size, size): the central square of an RGB image, resized once; luma (ITU-R 601) where `grey`."""
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    image = (image.convert("L") if grey else image).crop((left, top, left + side, top + side))
    pixels = np.asarray(image.resize((size, size), Image.Resampling.LANCZOS))
    return pixels.reshape(size, size, -1).transpose(2, 0, 1)
