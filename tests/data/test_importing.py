"""A folder of images becomes one verified file, and what cannot is named."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from divergan import data
from divergan.data.decoding import opened, square
from divergan.data.importing import SUFFIXES, classes_of, image_files, import_folder

RED, BLUE = (200, 30, 40), (10, 20, 220)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project's folder, in which commands run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def folder(project):
    """Three blue images and two red ones, in two subfolders, of several sizes and kinds."""
    for number, (kind, size, colour) in enumerate(
        [("b/x/1.PNG", (40, 30), BLUE), ("b/2.jpg", (30, 50), BLUE), ("b/3.bmp", (16, 16), BLUE),
         ("a/4.webp", (20, 20), RED), ("a/5.gif", (9, 12), RED)]
    ):  # fmt: skip
        path = project / "photos" / kind
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = np.full((size[1], size[0], 3), colour, np.uint8)
        picture[number % 3] += 5
        Image.fromarray(picture).save(path)
    return project / "photos"


def packed(folder: Path, grey: bool = False, **options) -> tuple[data.RawData, data.DataSet, list[str]]:
    lines: list[str] = []
    path = import_folder(folder, "flowers", 16, grey, Path("data/own"), lines.append, **options)
    assert path == Path("data/own/flowers.safetensors") and path.is_file()
    return data.raw_images("flowers", Path("data/raw")), data.data_set("flowers"), lines


def test_subfolders_are_classes_and_the_order_is_that_of_the_names(folder):
    raw, declared, lines = packed(folder)
    assert raw.training_images.shape == (5, 3, 16, 16) and raw.training_images.dtype == np.uint8
    assert raw.training_labels.tolist() == [0, 0, 1, 1, 1] and raw.training_labels.dtype == np.uint8
    assert (declared.classes, declared.shape, declared.training_images, declared.test_images) == (2, (3, 16, 16), 5, 0)
    assert not declared.files and raw.test_images.shape == (0, 3, 16, 16)
    colours = raw.training_images.mean(axis=(2, 3))
    assert np.abs(colours - np.array([RED, RED, BLUE, BLUE, BLUE])).max() < 8  # GIF's palette and JPEG's rounding
    told = json.loads(Path("data/own/flowers.json").read_text())
    assert told["classes"] == ["a", "b"] and told["sha256"] == declared.own_sha256
    assert "5 colour images in 2 classes (a 2, b 3)" in lines[0]
    for part in ("centre-cropped", "once to 16x16", "Lanczos", "from 9x12 to 30x50 pixels"):
        assert part in str(declared.resized) and part in lines[1]
    assert "1 images were smaller and are enlarged" in lines[2]


def test_the_splits_and_a_second_import_are_the_same(folder):
    raw, declared, _ = packed(folder)
    parts = data.split(raw, {"gan": 3, "evaluation": 2}, 0)
    assert parts["gan"][0].shape == (3, 3, 16, 16)
    first = Path("data/own/flowers.safetensors").read_bytes()
    again = packed(folder, force=True)[1]
    assert again == declared and Path("data/own/flowers.safetensors").read_bytes() == first


def test_a_flat_folder_is_one_class(folder):
    raw, declared, lines = packed(folder / "a")
    assert declared.classes == 1 and raw.training_labels.tolist() == [0, 0]
    assert any("random_convolutions" in line for line in lines)
    assert json.loads(Path("data/own/flowers.json").read_text())["classes"] == ["flowers"]


def test_images_beside_the_subfolders_are_refused(folder):
    shutil.copy(folder / "b/2.jpg", folder / "loose.jpg")
    with pytest.raises(data.DataError, match=r"1 beside them \(loose\.jpg\): move"):
        packed(folder)


def test_grey_is_found_and_can_be_forced(folder, project):
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    (project / "grey").mkdir()
    Image.fromarray(ramp).save(project / "grey/1.png")
    Image.fromarray(np.stack([ramp.T] * 3, axis=-1)).save(project / "grey/2.png")  # colour mode, no colour
    raw, declared, lines = packed(project / "grey")
    assert declared.shape == (1, 16, 16) and "2 grey images" in lines[0]
    np.testing.assert_array_equal(raw.training_images[:, 0], [ramp, ramp.T])
    forced = packed(folder, grey=True, force=True)[0].training_images
    assert forced.shape == (5, 1, 16, 16)
    assert abs(int(forced[3, 0, 8, 8]) - (0.299 * 10 + 0.587 * 20 + 0.114 * 220)) <= 3  # JPEG's rounding


def test_one_pixel_of_colour_is_colour(project):
    (project / "grey").mkdir()
    for number in range(3):
        picture = np.full((16, 16, 3), 90, np.uint8)
        picture[15, 15, 2] += number == 2
        Image.fromarray(picture).save(project / f"grey/{number}.png")
    assert packed(project / "grey")[1].shape == (3, 16, 16)


def saved(path: Path, image: Image.Image, **options) -> np.ndarray:
    """The picture as `opened` gives it after a file."""
    image.save(path, **options)
    return np.asarray(opened(path))


def test_kinds_of_pixels(tmp_path):
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    rgb = np.stack([ramp] * 3, axis=-1)
    deep = Image.fromarray(ramp.astype(np.uint16) * 257)
    assert (saved(tmp_path / "1.png", deep) == rgb).all()
    assert (saved(tmp_path / "1.tiff", deep) == rgb).all()
    nearly = Image.fromarray((ramp.astype(np.uint16) * 257)[:, 1:] - 128)  # cut to 8 bits it would be one less
    assert (saved(tmp_path / "2.png", nearly) == rgb[:, 1:]).all()
    assert (saved(tmp_path / "3.png", Image.fromarray(ramp > 99)) == np.where(rgb > 99, 255, 0)).all()
    palette = Image.fromarray(rgb).quantize(256)
    assert (saved(tmp_path / "4.png", palette) == np.asarray(palette.convert("RGB"))).all()
    printed = saved(tmp_path / "5.jpg", Image.new("CMYK", (8, 8), (0, 255, 255, 0)))  # magenta and yellow: red
    assert np.abs(printed.astype(int) - [255, 0, 0]).max() < 8  # JPEG's rounding
    with pytest.raises(ValueError, match="32 bits"):
        saved(tmp_path / "6.tiff", Image.fromarray(ramp.astype(np.float32)))


def test_alpha_is_laid_over_white(tmp_path):
    half = Image.new("RGBA", (8, 8), (0, 100, 200, 128))
    assert np.abs(saved(tmp_path / "1.png", half)[0, 0].astype(int) - [127, 177, 227]).max() <= 1
    assert (saved(tmp_path / "2.png", Image.new("LA", (8, 8), (0, 0))) == 255).all()
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    assert (saved(tmp_path / "3.png", palette, transparency=1) == 255).all()
    assert (saved(tmp_path / "4.gif", palette, transparency=1) == 255).all()
    assert (saved(tmp_path / "5.png", Image.new("RGB", (8, 8), (1, 2, 3)), transparency=(1, 2, 3)) == 255).all()


def test_exif_rotation_is_undone_and_the_first_frame_taken(tmp_path):
    wide = np.zeros((8, 16, 3), np.uint8)
    wide[:, 8:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter clockwise for viewing
    upright = saved(tmp_path / "1.png", Image.fromarray(wide), exif=exif)
    assert upright.shape == (16, 8, 3) and upright[0].max() == 0 and upright[-1].min() == 255
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    frames[0].save(tmp_path / "2.gif", save_all=True, append_images=frames[1:])
    assert np.asarray(opened(tmp_path / "2.gif"))[0, 0].tolist() == list(RED)


def test_the_centre_is_kept_and_shrinking_does_not_alias():
    picture = np.zeros((30, 90, 3), np.uint8)
    picture[:, 30:60] = 255
    assert (square(Image.fromarray(picture), 10, False) == 255).all()
    assert (square(Image.fromarray(picture.transpose(1, 0, 2)), 10, False) == 255).all()
    stripes = np.zeros((160, 160, 3), np.uint8)
    stripes[:, ::2] = 255  # one pixel each: every tenth pixel alone is white
    shrunk = square(Image.fromarray(stripes), 16, True)
    assert shrunk.shape == (1, 16, 16) and np.abs(shrunk.astype(int) - 127.5).max() < 6  # Lanczos ripples at the border


def test_an_image_of_the_size_is_unchanged():
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    np.testing.assert_array_equal(square(Image.fromarray(picture), 16, False), picture.transpose(2, 0, 1))


def test_unreadable_files_are_named_all(folder):
    clean = import_folder(folder, "clean", 16, False, Path("own"), print).read_bytes()
    (folder / "a/broken.png").write_bytes(b"no image")
    whole = (folder / "b/x/1.PNG").read_bytes()
    (folder / "b/cut.png").write_bytes(whole[: len(whole) - 30])
    with pytest.raises(data.DataError) as error:
        packed(folder)
    for part in ("2 of the 7 images", "a/broken.png: no image of a known format", "b/cut.png", "--skip-unreadable"):
        assert part in str(error.value)
    assert not Path("data/own").exists()
    for number in range(12):
        (folder / f"a/z{number}.png").write_bytes(b"")
    with pytest.raises(data.DataError, match=r"14 of the 19.*a/z6\.png: .* and 4 more: mend"):
        packed(folder)
    lines = packed(folder, skip_unreadable=True)[2]
    assert Path("data/own/flowers.safetensors").read_bytes() == clean
    assert any(line.startswith("flowers: left out") and "and 4 more" in line for line in lines)
    assert json.loads(Path("data/own/flowers.json").read_text())["left_out"] == 14


def test_other_formats_in_disguise_are_not_opened(tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "1.eps")
    (tmp_path / "1.eps").rename(tmp_path / "1.png")
    with pytest.raises(Image.UnidentifiedImageError):
        opened(tmp_path / "1.png")


def test_a_decompression_bomb_is_refused(folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_400)  # 1,500 pixels: Pillow warns alone
    with pytest.raises(data.DataError, match=r"1 of the 5 images.*b/2\.jpg: .*decompression bomb"):
        packed(folder)


def test_links_are_not_followed(folder, project):
    (project / "elsewhere").mkdir()
    shutil.copy(folder / "a/4.webp", project / "elsewhere/secret.webp")
    (folder / "a/out.webp").symlink_to(project / "elsewhere/secret.webp")
    (folder / "a/inside.webp").symlink_to(folder / "a/4.webp")
    (folder / "c").symlink_to(project / "elsewhere")
    raw, _, lines = packed(folder)
    assert len(raw.training_images) == 5 and any("3 links were not followed" in line for line in lines)
    (project / "linked").symlink_to(folder)  # the folder that a person names may be a link
    assert len(packed(project / "linked", force=True)[0].training_images) == 5
    with pytest.raises(data.DataError, match=r"0 images that can be read \(1 links were not followed\)"):
        (project / "only").mkdir()
        (project / "only/x.png").symlink_to(folder / "a/4.webp")
        packed(project / "only", force=True)


def test_hidden_and_other_files_are_no_images(folder):
    (folder / "b/._2.jpg").write_bytes(b"what macOS leaves")
    (folder / ".cache").mkdir()
    (folder / ".cache/3.png").write_bytes(b"")
    (folder / "readme.txt").write_text("five images")
    assert len(packed(folder)[0].training_images) == 5


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_images(project, count):
    (project / "few").mkdir()
    for number in range(count):
        Image.new("RGB", (9, 9)).save(project / f"few/{number}.png")
    with pytest.raises(data.DataError, match=rf"holds {count} images.*two or more.*{SUFFIXES[0]}"):
        packed(project / "few")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"name": "../flowers"}, "small letters"),
        ({"name": "Flowers"}, "small letters"),
        ({"name": "flowers\n"}, "small letters"),
        ({"name": "f" * 65}, "small letters"),
        ({"name": "mnist"}, "of a data set of divergan's"),
        ({"size": 7}, "too small"),
        ({"folder": Path("nowhere")}, "nowhere is not a folder"),
    ],
)
def test_wrong_arguments(folder, change, complaint):
    arguments = {"folder": folder, "name": "flowers", "size": 16} | change
    with pytest.raises(data.DataError, match=complaint):
        import_folder(**arguments, grey=False, out=Path("data/own"), report=print)
    assert not Path("data").exists()


def test_a_name_that_is_taken_needs_force(folder):
    packed(folder)
    before = Path("data/own/flowers.json").read_text()
    with pytest.raises(data.DataError, match=r"flowers\.json exists.*--force"):
        packed(folder / "a")
    assert Path("data/own/flowers.json").read_text() == before
    assert packed(folder / "a", force=True)[1].training_images == 2


def test_nothing_half_written_is_a_data_set(folder, monkeypatch):
    packed(folder)
    before = {path.name: path.read_bytes() for path in Path("data/own").iterdir()}
    replace = os.replace

    def full(*names):
        if not any(Path(name).name == full.allowed for name in names):
            raise OSError("disk full")
        replace(*names)

    monkeypatch.setattr(os, "replace", full)
    for full.allowed, changed in [("none", set()), ("flowers.safetensors", {"flowers.safetensors"})]:
        with pytest.raises(OSError, match="disk full"):
            packed(folder / "a", force=True)
        after = {path.name: path.read_bytes() for path in Path("data/own").iterdir()}
        assert after.keys() == before.keys() and {name for name in after if after[name] != before[name]} == changed
    with pytest.raises(data.DataError, match="import the folder again"):
        data.raw_images("flowers", Path("data/raw"))


def test_copies_are_counted(folder):
    shutil.copy(folder / "b/2.jpg", folder / "b/copy.jpg")
    assert any("1 images are exact copies" in line for line in packed(folder)[2])


def test_more_than_256_classes_keep_their_labels(project):
    for number in range(258):
        path = project / f"many/c{number:03d}/1.png"
        path.parent.mkdir(parents=True)
        Image.new("L", (16, 16), number % 256).save(path)
    raw, declared, lines = packed(project / "many")
    assert raw.training_labels.tolist() == list(range(258)) and declared.classes == 258
    assert "and 248 more" in lines[0]


def test_names_that_are_not_utf8_can_be_told(tmp_path):
    file = tmp_path / os.fsdecode(b"\xe4pfel") / "1.png"
    try:
        file.parent.mkdir()
    except OSError:
        pytest.skip("this file system keeps UTF-8 names alone")
    Image.new("L", (9, 9)).save(file)
    files, _ = image_files(tmp_path)
    assert files == [file] and classes_of(tmp_path, files, "x") == (["?pfel"], [0])
