"""One image after another: what a file holds, and how it becomes what a family asks for."""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from jaxgen.data import checks


class Target(NamedTuple):
    """What a family asks for, and what may be done to get there."""

    height: int
    width: int
    channels: int
    resize: str = "none"
    convert: bool = False


class Header(NamedTuple):
    """What is known of a file before it is decoded."""

    width: int
    height: int
    kind: str


def header(path) -> Header:
    with Image.open(path) as image:
        width, height = image.size
        # most photographs are stored as the sensor lay; a tag says how to turn them
        turned = "exif" in image.info and image.getexif().get(0x0112, 1) >= 5
        return Header(height, width, kind(image)) if turned else Header(width, height, kind(image))


def kind(image) -> str:
    """The mode whose values the file's become without loss: a palette is colour, one bit is gray."""
    # Pillow keeps the upper byte of 16-bit colours without a word; only the raw mode of the tile tells
    if image.mode[0] in "IF" or any(";16" in str(tile[3]) for tile in image.tile):
        return "16-bit"
    return "RGBA" if transparent(image) else {"1": "L", "P": "RGB"}.get(image.mode, image.mode)


def transparent(image):
    return "transparency" in image.info or image.mode in ("LA", "PA", "RGBA")


def decode(path, target: Target) -> np.ndarray:
    """(H, W, 1 or 3) uint8 of a file whose header was found to fit."""
    with Image.open(path) as image:
        if target.resize != "none":
            # a JPEG of a large photograph is decoded at a half, quarter or eighth, at least twice as large as needed
            image.draft(image.mode, (2 * max(target[:2]),) * 2)
        upright = ImageOps.exif_transpose(image) if "exif" in image.info else image
        if target.resize == "none" and upright.size != (target.width, target.height):
            raise ValueError("its size has changed since the start")
        fitting = resized(converted(upright, "RGB" if target.channels == 3 else "L"), target)
        return np.asarray(fitting).reshape(target.height, target.width, -1)


def converted(image, mode):
    """In this mode; what is transparent lies on white."""
    if image.mode[0] in "IF":
        image = Image.fromarray((np.clip(np.asarray(image), 0, 65535).astype(np.uint16) >> 8).astype(np.uint8))
    if transparent(image):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == mode else image.convert(mode)


def resized(image, target):
    """Pillow's bilinear, as torchvision's Resize; `crop` brings the shorter side to size and cuts the middle out."""
    height, width = target.height, target.width
    if image.size == (width, height):
        return image
    if target.resize != "crop":
        return image.resize((width, height), Image.Resampling.BILINEAR)
    w, h = image.size
    narrow = w * height <= h * width
    w, h = (width, width * h // w) if narrow else (height * w // h, height)
    left, top = round((w - width) / 2), round((h - height) / 2)
    return image.resize((w, h), Image.Resampling.BILINEAR).crop((left, top, left + width, top + height))


def fitted(images, target, where, own):
    """Images in memory as `target` says; those of a built-in set are resized without being asked to."""
    have, (height, width) = images.shape[-1], images.shape[1:3]
    sized, gray = (height, width) == (target.height, target.width), have not in (1, target.channels)
    if gray:
        checks.colours(where, "RGB", target, images.dtype)
    if not sized:
        checks.size(where, width, height, target, own, images.dtype)
    if gray or not sized:
        made = np.empty((len(images), target.height, target.width, 1 if gray else have), np.uint8)
        for i, x in enumerate(images):
            image = Image.fromarray(x.squeeze(-1) if have == 1 else x)
            made[i] = np.asarray(resized(image.convert("L") if gray else image, target)).reshape(made.shape[1:])
        images = made
    return images if images.shape[-1] == target.channels else np.repeat(images, target.channels, -1)
