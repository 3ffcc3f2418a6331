"""A folder of images: split, classes, captions, what is refused, and decoding in threads."""

import json
import threading
import warnings

import numpy as np
import pytest
from PIL import Image

from jaxgen import data
from jaxgen.core import Input
from jaxgen.data import look
from jaxgen.errors import UserError


def inputs(height=8, width=8, channels=3):
    return {"image": Input((2, height, width, channels))}


def picture(path, size=(8, 8), mode="RGB", seed=0, **options):
    """A file of noise -> its values."""
    rng = np.random.default_rng([seed, sum(map(ord, path.name))])
    bands = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}.get(mode, 3)
    x = rng.integers(0, 256, (size[1], size[0], bands), np.uint8)
    image = Image.fromarray(x.squeeze(-1) if bands == 1 else x, mode if bands == 4 or mode == "LA" else None)
    image = image.quantize(16) if mode == "P" else image.convert(mode)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return np.asarray(image)


def pets(root, count=20, **options):
    """Two classes in PNG -> {name: values}."""
    names = [f"{pet}/{i:03d}.png" for pet in ("cat", "dog") for i in range(count // 2)]
    return {name: picture(root / name, seed=i, **options) for i, name in enumerate(names)}


def refused(folder, message, wanted=None, **options):
    with pytest.raises(UserError) as error:
        data.fit(data.load(str(folder)).train, wanted or inputs(), **options)
    assert str(error.value) == message


def test_class_folders_and_a_fixed_tenth(tmp_path):
    values = pets(tmp_path / "pets")
    loaded = data.load(str(tmp_path / "pets"))
    assert loaded.name == "pets" and loaded.classes == ("cat", "dog") and loaded.flips
    assert (len(loaded.train), len(loaded.test)) == (18, 2) and sorted(loaded.train.keys()) == ["image", "label"]
    assert sorted([*loaded.train.names, *loaded.test.names]) == sorted(values)
    assert data.load(str(tmp_path / "pets")).test.names == loaded.test.names
    order = np.random.default_rng(0).permutation(20)[:2]  # the rule of the sets in memory
    assert loaded.test.names == [sorted(values)[i] for i in sorted(order)]
    wanted = inputs() | {"label": Input((2,), high=1, dtype="int32")}
    source = data.fit(loaded.train, wanted)
    taken = source.take(np.array([[3, 0, 3], [17, 16, 15]]))
    assert taken["image"].shape == (2, 3, 8, 8, 3) and taken["image"].dtype == np.uint8
    for i, row in enumerate((3, 0, 3, 17, 16, 15)):
        name = loaded.train.names[row]
        np.testing.assert_array_equal(taken["image"].reshape(-1, 8, 8, 3)[i], values[name])
        assert taken["label"].ravel()[i] == ("dog" in name)
    assert source.nbytes == sum(x.nbytes for x in source.whole().values()) and taken["label"].dtype == np.int32
    assert data.fit(loaded.train, inputs()).take(np.array([1])).keys() == {"image"}


def test_every_suffix_in_order_and_nothing_hidden(tmp_path):
    """No classes where an image lies outside of a sub-folder, or where there is one alone."""
    for name in ("b.JPG", "a.jpeg", "c.webp", "sub/d.bmp", "sub/deep/e.png", ".hidden/f.png", ".g.png"):
        picture(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no caption of anything")
    loaded = data.load(str(tmp_path))
    assert loaded.train.names == ["a.jpeg", "b.JPG", "c.webp", "sub/d.bmp", "sub/deep/e.png"]
    assert loaded.classes == () and loaded.train.keys() == ("image",) and len(loaded.test) == 0
    assert loaded.train.captions is None
    assert data.load(str(tmp_path / "sub")).classes == ()


def test_links_are_followed_but_not_in_circles(tmp_path):
    picture(tmp_path / "elsewhere" / "a.png")
    picture(tmp_path / "pets" / "cat" / "b.png")
    (tmp_path / "pets" / "dog").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "pets" / "cat" / "again").symlink_to(tmp_path / "pets")
    loaded = data.load(str(tmp_path / "pets"))
    assert loaded.train.names == ["cat/b.png", "dog/a.png"] and loaded.classes == ("cat", "dog")


def test_train_and_test_are_the_split(tmp_path):
    pets(tmp_path / "train", 6), pets(tmp_path / "test", 2)
    loaded = data.load(str(tmp_path))
    assert (len(loaded.train), len(loaded.test), loaded.classes) == (6, 2, ("cat", "dog"))
    np.testing.assert_array_equal(loaded.test.leaves["label"], [0, 1])
    picture(tmp_path / "test" / "frog" / "x.png")
    refused(tmp_path, f"{tmp_path}/test/frog/x.png: expected a class folder as in train (cat/, dog/), got frog.")
    (tmp_path / "test" / "frog" / "x.png").rename(tmp_path / "test" / "y.png")
    refused(tmp_path, f"{tmp_path}/test/y.png: expected a class folder as in train (cat/, dog/), got none.")


def test_captions_beside_images(tmp_path):
    values = pets(tmp_path)
    for name in values:
        (tmp_path / name).with_suffix(".txt").write_text(f" a picture of {name} ☃\n", encoding="utf-8")
    loaded = data.load(str(tmp_path))
    for source in (loaded.train, loaded.test, data.fit(loaded.train, inputs())):
        assert list(source.captions) == [f"a picture of {name} ☃" for name in source.names]
    assert type(loaded.train.captions[0]) is str and "caption" not in loaded.train.keys()
    for name in sorted(values)[3:5]:
        (tmp_path / name).with_suffix(".txt").unlink()
    message = "cat/003.png: has no caption, but 18 of 20 images have one. Add it, or remove the others."
    refused(tmp_path, f"{tmp_path}/{message}")
    (tmp_path / "cat/000.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UserError, match="cat/000.txt: cannot be read as UTF-8 text .*Save it again."):
        data.load(str(tmp_path))


def test_captions_of_hugging_faces_layout(tmp_path):
    for part in ("train", "test"):
        for name in ("a.png", "deep/b.png"):
            picture(tmp_path / part / name)
        rows = [{"file_name": "deep/b.png", "text": "second"}, {"file_name": "./a.png", "text": "first", "other": 1}]
        (tmp_path / part / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    loaded = data.load(str(tmp_path))
    assert list(loaded.train.captions) == ["first", "second"] == list(loaded.test.captions)
    (tmp_path / "train" / "metadata.jsonl").write_text(json.dumps(rows[0]))
    message = "a.png: has no caption, but 1 of 2 images have one. Add it, or remove the others."
    refused(tmp_path, f"{tmp_path}/train/{message}")
    (tmp_path / "train" / "metadata.jsonl").write_text('{"text": "of nothing"}')
    message = """line 1: expected {"file_name": ..., "text": ...}, got '{"text": "of nothing"}'."""
    refused(tmp_path, f"{tmp_path}/train/metadata.jsonl: {message}")
    (tmp_path / "train" / "metadata.jsonl").write_text('{"file_name": "a.png", "label": 3}')
    assert data.load(str(tmp_path)).train.captions is None


def test_another_size_is_refused_with_the_flag_to_give(tmp_path):
    picture(tmp_path / "a.png"), picture(tmp_path / "b.png", (40, 30)), picture(tmp_path / "c.png", (40, 40))
    flag = "Add --resize crop (or stretch)"
    refused(tmp_path, f"{tmp_path}/b.png: expected 8 x 8 pixels, got 40 x 30. {flag}.")
    (tmp_path / "b.png").unlink()
    refused(
        tmp_path, f"{tmp_path}/c.png: expected 8 x 8 pixels, got 40 x 40. {flag}, or choose the family's --size 40."
    )


@pytest.mark.parametrize("size", [(40, 30), (30, 47), (9, 8), (5, 8), (31, 31)])
def test_resized_as_torchvision_does(tmp_path, size):
    """`crop` is Resize(8) and CenterCrop(8), `stretch` is Resize((8, 8))."""
    from torch_ref.vision import torchvision

    torchvision()
    from torchvision import transforms

    image = Image.fromarray(picture(tmp_path / "a.png", size))
    wanted = {
        "crop": transforms.Compose([transforms.Resize(8), transforms.CenterCrop(8)])(image),
        "stretch": transforms.Resize((8, 8))(image),
    }
    for resize, want in wanted.items():
        source = data.fit(data.load(str(tmp_path)).train, inputs(), resize)
        np.testing.assert_array_equal(source.take(np.array([0]))["image"][0], np.asarray(want))


def test_a_crop_that_is_not_square(tmp_path):
    picture(tmp_path / "a.png", (40, 30)), picture(tmp_path / "b.png", (30, 40))
    source = data.fit(data.load(str(tmp_path)).train, inputs(height=8, width=13), "crop")
    assert source.whole()["image"].shape == (2, 8, 13, 3)


def test_a_large_photograph_is_decoded_small(tmp_path):
    """A JPEG is read at an eighth, which no eye can tell; it is turned as its tag says."""
    y, x = np.mgrid[:640, :960]
    smooth = np.stack([y * 255 // 640, x * 255 // 960, (x + y) * 255 // 1600], -1).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95, exif=exif)
    source = data.load(str(tmp_path)).train
    assert source.headers[0][:2] == (640, 960)
    made = data.fit(source, inputs(12, 8), "stretch").whole()["image"][0].astype(int)
    upright = Image.fromarray(np.rot90(smooth, -1)).resize((8, 12), Image.Resampling.BILINEAR)
    assert np.abs(made - np.asarray(upright, int)).max() <= 4
    native = data.fit(source, inputs(960, 640)).whole()["image"][0].astype(int)
    assert np.abs(native - np.rot90(smooth, -1)).mean() < 2


def test_mixed_modes_are_refused_or_converted(tmp_path):
    gray = picture(tmp_path / "a.png", mode="L")
    picture(tmp_path / "b.png", mode="RGBA")
    refused(tmp_path, f"{tmp_path}/b.png: expected gray (L) as a.png, got RGBA. Add --convert, or save it again.")
    for channels in (1, 3):
        source = data.fit(data.load(str(tmp_path)).train, inputs(channels=channels), convert=True)
        made = source.whole()["image"]
        assert made.shape == (2, 8, 8, channels)
        np.testing.assert_array_equal(made[0], np.repeat(gray[..., None], channels, -1))


def test_gray_is_repeated_and_colour_is_not_given_up_unasked(tmp_path):
    gray, colour = picture(tmp_path / "g" / "a.png", mode="L"), picture(tmp_path / "c" / "a.png")
    made = data.fit(data.load(str(tmp_path / "g")).train, inputs()).whole()["image"][0]
    np.testing.assert_array_equal(made, np.repeat(gray[..., None], 3, -1))
    message = "expected gray (L), got colour (RGB). Add --convert, or choose the family's --channels 3."
    refused(tmp_path / "c", f"{tmp_path}/c/a.png: {message}", inputs(channels=1))
    made = data.fit(data.load(str(tmp_path / "c")).train, inputs(channels=1), convert=True).whole()["image"][0]
    np.testing.assert_array_equal(made[..., 0], np.asarray(Image.fromarray(colour).convert("L")))


def test_palettes_and_bits_lose_nothing(tmp_path):
    picture(tmp_path / "p" / "a.png", mode="P"), picture(tmp_path / "p" / "b.png")
    made = data.fit(data.load(str(tmp_path / "p")).train, inputs()).whole()["image"][0]
    np.testing.assert_array_equal(made, np.asarray(Image.open(tmp_path / "p" / "a.png").convert("RGB")))
    picture(tmp_path / "b" / "a.png", mode="1"), picture(tmp_path / "b" / "b.png", mode="L")
    made = data.fit(data.load(str(tmp_path / "b")).train, inputs(channels=1)).whole()["image"][0]
    assert set(np.unique(made)) == {0, 255}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_lies_on_white(tmp_path, mode):
    if mode == "P":
        picture(tmp_path / "a.png", mode="P", transparency=3)
    else:
        picture(tmp_path / "a.png", mode=mode)
    message = "expected colour (RGB), got transparency (RGBA). Add --convert, or save it again."
    refused(tmp_path, f"{tmp_path}/a.png: {message}")
    made = data.fit(data.load(str(tmp_path)).train, inputs(), convert=True).whole()["image"][0]
    x = np.asarray(Image.open(tmp_path / "a.png").convert("RGBA"), float)
    alpha = x[..., 3:] / 255
    np.testing.assert_allclose(made, x[..., :3] * alpha + 255 * (1 - alpha), atol=1)


def deep_colour(path):
    """A PNG of 16-bit colours, which Pillow cannot write."""
    import struct
    import zlib

    values = np.random.default_rng(0).integers(0, 65536, (8, 8, 3)).astype(">u2")
    lines = b"".join(b"\0" + line.tobytes() for line in values)
    parts = (b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")
    chunk = lambda kind, x: struct.pack(">I", len(x)) + kind + x + struct.pack(">I", zlib.crc32(kind + x))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
    return values


def test_sixteen_bits_are_refused_or_converted(tmp_path):
    deep, coloured = tmp_path / "gray", tmp_path / "colour"
    deep.mkdir(), coloured.mkdir()
    values = np.random.default_rng(0).integers(0, 65536, (8, 8)).astype(np.uint16)
    Image.fromarray(values).save(deep / "a.png")
    colours = deep_colour(coloured / "a.png")
    message = "got 16-bit. Add --convert, or save it again."
    refused(deep, f"{deep}/a.png: expected gray (L), {message}", inputs(channels=1))
    refused(coloured, f"{coloured}/a.png: expected colour (RGB), {message}")
    made = data.fit(data.load(str(deep)).train, inputs(channels=1), convert=True).whole()["image"][0]
    np.testing.assert_array_equal(made[..., 0], values >> 8)
    made = data.fit(data.load(str(coloured)).train, inputs(), convert=True).whole()["image"][0]
    np.testing.assert_array_equal(made, colours >> 8)


def test_other_modes_are_named(tmp_path):
    picture(tmp_path / "a.jpg", mode="CMYK")
    refused(tmp_path, f"{tmp_path}/a.jpg: expected colour (RGB), got CMYK. Add --convert, or save it again.")
    assert data.fit(data.load(str(tmp_path)).train, inputs(), convert=True).whole()["image"].shape == (1, 8, 8, 3)


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "a.gif").write_text("")
    message = f"{tmp_path}: expected images (.bmp .jpeg .jpg .png .webp), found none."
    refused(tmp_path, message)


def test_files_that_are_no_images_are_named_at_the_start(tmp_path):
    pets(tmp_path)
    for name in ("cat/zz.png", "dog/000.png"):
        (tmp_path / name).write_text("no image")
    message = "cat/zz.png: cannot be read (no image, or a damaged one). Mend or remove it. So are 1 more."
    refused(tmp_path, f"{tmp_path}/{message}")
    (tmp_path / "cat" / "zz.png").write_text("")
    refused(tmp_path, f"{tmp_path}/{message}")


def test_a_file_that_is_cut_short_is_named_when_it_is_decoded(tmp_path):
    picture(tmp_path / "a.png", (64, 64)), picture(tmp_path / "b.png", (64, 64)), picture(tmp_path / "c.jpg", (64, 64))
    whole = (tmp_path / "b.png").read_bytes()
    (tmp_path / "b.png").write_bytes(whole[: len(whole) // 2])
    source = data.fit(data.load(str(tmp_path)).train, inputs(64, 64))
    with pytest.raises(UserError, match=r"b.png: cannot be read \(image file is truncated.*\). Mend or remove it."):
        source.take(np.array([0, 1, 2]))
    stream = data.ahead(source.take, [np.array([0]), np.array([2]), np.array([1]), np.array([0])])
    assert [next(stream)["image"].shape for _ in range(2)] == [(1, 64, 64, 3)] * 2
    with pytest.raises(UserError, match="b.png"):
        next(stream)
    picture(tmp_path / "a.png", (32, 64))  # changed since its header was read
    with pytest.raises(UserError, match="a.png: cannot be read"):
        source.take(np.array([0]))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("jaxgen")]


def test_decompression_bombs_are_named(tmp_path, monkeypatch):
    picture(tmp_path / "a.png"), picture(tmp_path / "b.png", (30, 50))
    for limit in (1000, 500):  # of which Pillow warns, and which it refuses
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(UserError, match=r"b.png: cannot be read \(Image size \(1500 pixels\) exceeds limit"):
                data.load(str(tmp_path))


def test_streamed_is_what_is_taken(tmp_path):
    """However many workers decode, and however far ahead."""
    pets(tmp_path, 30)
    one, four = (data.fit(data.load(str(tmp_path), workers=n).train, inputs()) for n in (1, 4))
    plan = [np.stack([data.rows(len(one), 5, 0, 3 * call + i) for i in range(3)]) for call in range(4)]
    for depth in (1, 3):
        streamed = data.ahead(four.take, plan, depth)
        for made, rows in zip(streamed, plan, strict=True):
            assert made["image"].shape == (3, 5, 8, 8, 3)
            np.testing.assert_array_equal(made["image"], one.take(rows)["image"])
    whole = data.Arrays(one.whole())
    np.testing.assert_array_equal(whole.take(plan[0])["image"], one.take(plan[0])["image"])


def test_a_look_at_a_folder(tmp_path, capsys):
    values = pets(tmp_path / "pets", size=(200, 100))
    for name in ("cat/z.png", "dog/z.png", "dog/zz.png"):
        values[name] = picture(tmp_path / "pets" / name, (300, 50), mode="L")
    for name in values:
        (tmp_path / "pets" / name).with_suffix(".txt").write_text("a pet, " * 30)
    look.data(str(tmp_path / "pets"), out=str(tmp_path / "look.png"), count=6)
    told = capsys.readouterr().out
    assert "2 sizes from 200 x 100 to 300 x 50 pixels, gray, colour, files decoded as uint8" in told
    assert "one an image, the first: 'a pet, a pet," in told and f"found in   {tmp_path}/pets" in told
    assert all(len(line) < 100 + len(str(tmp_path)) for line in told.splitlines())
    with Image.open(tmp_path / "look.png") as sheet:
        assert sheet.size == (2 * (3 * 98 + 2), 2 * (2 * 50 + 2))
    look.data(str(tmp_path / "pets"), out=str(tmp_path / "look.png"))
    with Image.open(tmp_path / "look.png") as sheet:  # no wider than the largest class
        assert sheet.size == (11 * 98 + 2, 2 * 50 + 2)


def test_recognised_by_a_folder_of_classes(tmp_path):
    """Samples are judged by the images of a labelled folder, in the size of the samples."""
    from jaxgen.recognise import recognise

    rng = np.random.default_rng(0)
    for name, gray in (("dark", 60), ("light", 190)):
        (tmp_path / name).mkdir()
        for i in range(40):
            noise = rng.integers(-40, 40, (12, 10, 3))
            Image.fromarray((gray + noise).astype(np.uint8)).save(tmp_path / name / f"{i}.png")
    samples = (np.array([60, 190] * 10).reshape(-1, 1, 1, 1) + rng.integers(-40, 40, (20, 8, 8, 3))).astype(np.uint8)
    verdict = recognise(samples, data.load(str(tmp_path)))
    assert verdict.ok and verdict.accuracy == 1
