from __future__ import annotations

import hashlib
import io
import struct
import zlib

import numpy as np
import PIL.Image
import pytest

from vgbench.clips import open_source
from vgbench.clips.alpha import flatten_alpha
from vgbench.clips.image_names import natural_key
from vgbench.clips.images import image_kind
from vgbench.clips.rates import frames_at
from vgbench.errors import BadClip

GREY_STEPS = np.repeat(np.arange(6, dtype=np.uint8)[:, None, None, None] * 40, 3, axis=3)


def coloured(count: int, side: int = 8) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def strip_of(frames: np.ndarray) -> PIL.Image.Image:
    return PIL.Image.fromarray(np.concatenate(list(frames), axis=1))


def test_weizmann_strips(weizmann):
    source = open_source(weizmann)
    assert len(source.clips) == 72
    assert {clip.label for clip in source.clips} == {"0", "1", "3", "4"}
    assert source.skipped == ()
    clip = source.clips[0]
    with PIL.Image.open(weizmann / clip.id) as image:  # named .jpg, in truth an opaque RGBA PNG
        second = np.asarray(image)[:, 64:128, :3]
    assert clip.count_frames() * 64 == image.width
    np.testing.assert_array_equal(clip.read([1])[0], second)


def test_shape_motion_strips_list_without_being_opened(shape_motion, monkeypatch):
    opened = []
    original = PIL.Image.open
    monkeypatch.setattr(PIL.Image, "open", lambda *args, **kind: opened.append(1) or original(*args, **kind))
    source = open_source(shape_motion)
    assert len(source.clips) == 8000
    assert len(opened) == 2  # one header a folder
    assert {clip.count_frames() for clip in source.clips[::400]} == {32}


def test_frames_of_a_strip_come_left_to_right(tmp_path):
    frames = coloured(5)
    strip_of(frames).save(tmp_path / "a.png")
    (clip,) = open_source(tmp_path).clips
    assert (clip.id, clip.label, clip.count_frames()) == ("a.png", None, 5)
    np.testing.assert_array_equal(clip.read([0, 2, 4]), frames[[0, 2, 4]])


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("L", lambda rgb: np.asarray(PIL.Image.fromarray(rgb).convert("L").convert("RGB"))),
        ("P", lambda rgb: np.asarray(PIL.Image.fromarray(rgb).convert("P").convert("RGB"))),
        ("1", lambda rgb: np.asarray(PIL.Image.fromarray(rgb).convert("1").convert("RGB"))),
        ("RGBA", lambda rgb: rgb),
    ],
)
def test_strips_of_any_mode_become_rgb(mode, expected, tmp_path):
    rgb = np.concatenate(list(coloured(4)), axis=1)
    PIL.Image.fromarray(rgb).convert(mode).save(tmp_path / "a.png")
    frames = open_source(tmp_path).clips[0].read(range(4))
    np.testing.assert_array_equal(np.concatenate(list(frames), axis=1), expected(rgb))


def test_sixteen_bit_grey_is_scaled_and_not_clipped(tmp_path):
    values = np.array([0, 128, 129, 257, 32768, 65535, 65407, 65406], np.uint16)
    PIL.Image.fromarray(np.tile(values, (2, 1))).save(tmp_path / "a.png")
    frames = open_source(tmp_path).clips[0].read(range(4))
    flat = np.concatenate(list(frames), axis=1)[0, :, 0]
    np.testing.assert_array_equal(flat, np.floor(values / 257 + 0.5))


def test_transparency_shows_black():
    assert flatten_alpha(
        np.array([[200, 100, 50, 0], [200, 100, 51, 128], [7, 8, 9, 255]], np.uint8)
    ).tolist() == [
        [0, 0, 0],
        [100, 50, 26],
        [7, 8, 9],
    ]


def test_layout_can_be_forced(tmp_path):
    strip_of(coloured(2)).save(tmp_path / "a.png")  # twice as wide as high: too little to tell
    strip_of(coloured(2)).save(tmp_path / "b.png")
    (folder,) = open_source(tmp_path).clips
    assert (folder.id, folder.count_frames(), folder.read([0]).shape) == (".", 2, (1, 8, 16, 3))
    strips = open_source(tmp_path, layout="strips").clips
    assert [(clip.id, clip.count_frames()) for clip in strips] == [("a.png", 2), ("b.png", 2)]


def test_an_image_that_does_not_divide_is_a_bad_strip(tmp_path):
    strip_of(coloured(4)).save(tmp_path / "a.png")
    PIL.Image.new("RGB", (33, 8)).save(tmp_path / "b.png")
    good, bad = open_source(tmp_path).clips
    assert good.count_frames() == 4
    with pytest.raises(BadClip, match=r"b\.png: a strip of 33×8"):
        bad.count_frames()


def test_frame_folders_sort_naturally_and_take_their_parents_label(tmp_path):
    frames = coloured(12)
    folder = tmp_path / "walk" / "clip 1"
    folder.mkdir(parents=True)
    for position, pixels in enumerate(frames):
        PIL.Image.fromarray(pixels).save(folder / f"frame{position}.png")
    (clip,) = open_source(tmp_path).clips
    assert (clip.id, clip.label, clip.count_frames()) == ("walk/clip 1", "walk", 12)
    np.testing.assert_array_equal(clip.read([2, 10, 11]), frames[[2, 10, 11]])


def test_natural_order_is_total():
    names = ["a10b2", "a2b10", "a2b9", "a02", "a2", "A2", "2", "10", "x"]
    assert sorted(names, key=natural_key) == ["2", "10", "A2", "a02", "a2", "a2b9", "a2b10", "a10b2", "x"]


def test_a_frame_of_another_size_or_without_bytes_spoils_its_clip(tmp_path):
    for position, side in enumerate((8, 8, 9)):
        PIL.Image.new("RGB", (side, side)).save(tmp_path / f"{position}.png")
    (clip,) = open_source(tmp_path).clips
    assert clip.read([0, 1]).shape == (2, 8, 8, 3)
    with pytest.raises(BadClip, match="differs in size"):
        clip.read([1, 2])
    (tmp_path / "1.png").write_bytes(b"")
    with pytest.raises(BadClip, match=r"1\.png: zero bytes"):
        open_source(tmp_path).clips[0].count_frames()


def test_fingerprint_of_a_frame_folder_depends_on_bytes_and_order_only(tmp_path):
    first, second = coloured(2)
    for folder, names in (("a", "12"), ("b", "56"), ("c", "21")):
        (tmp_path / folder).mkdir()
        for name, pixels in zip(names, (first, second), strict=True):
            PIL.Image.fromarray(pixels).save(tmp_path / folder / f"{name}.png")
    a, b, c = (clip.fingerprint() for clip in open_source(tmp_path).clips)
    assert a == b != c


def test_a_grid_beside_videos_is_no_clip_but_is_named(tmp_path):
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "grid.png")
    np.save(tmp_path / "clips.npy", coloured(2)[None])
    source = open_source(tmp_path)
    assert [clip.id for clip in source.clips] == ["clips.npy#000000"]
    assert "images beside clips" in source.skipped[0].reason


def test_damaged_images_are_bad(tmp_path):
    for name in ("a.png", "b.jpg", "c.png"):
        strip_of(coloured(6, side=32)).save(tmp_path / name)
    for name in ("a.png", "b.jpg"):
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
    (tmp_path / "c.png").write_bytes(b"not an image at all")
    for clip in open_source(tmp_path, layout="strips").clips:
        with pytest.raises(BadClip, match=clip.id):
            clip.read([0])


def save_animation(path, frames, **options):
    images = [PIL.Image.fromarray(frame) for frame in frames]
    kind = "PNG" if path.suffix in (".png", ".apng") else None
    lossless = {"lossless": True} if path.suffix == ".webp" else {}
    images[0].save(path, kind, save_all=True, append_images=images[1:], loop=0, **lossless, **options)
    (clip,) = open_source(path).clips
    return clip


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.apng", "a.png"])
@pytest.mark.parametrize(
    "durations",
    [
        [50] * 8,
        [50] * 7 + [1000],
        [50] * 7 + [10],
        [100] * 7 + [50],
        [40, 80] * 4,
        [30, 30, 40] * 2 + [30, 30],
    ],
    ids=str,
)
def test_frames_are_counted_as_stored_however_long_they_are_shown(name, durations, tmp_path):
    grey = np.tile((30 * np.arange(8, dtype=np.uint8))[:, None, None, None], (1, 16, 16, 3))
    clip = save_animation(tmp_path / name, grey, duration=durations)
    assert clip.count_frames() == 8
    np.testing.assert_array_equal(clip.read(range(8)), grey)
    np.testing.assert_array_equal(clip.read([3, 5]), grey[[3, 5]])
    assert clip.frame_times()[-1] == pytest.approx(sum(durations) / 1000)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.apng"])
def test_what_the_writer_merged_is_one_frame_that_is_shown_longer(name, tmp_path):
    """Pillow merges identical frames; at a rate of their own, they are there again."""
    order = [0, 1, 1, 1, 2, 3, 3, 4]
    clip = save_animation(
        tmp_path / name, np.stack([np.tile(GREY_STEPS[k], (16, 16, 1)) for k in order]), duration=120
    )
    assert clip.count_frames() == 5
    shown = frames_at(clip.frame_times(), 1 / 0.12)
    np.testing.assert_array_equal(clip.read(shown)[:, 0, 0, 0], [40 * step for step in order])


def composed(patches, disposals, blends):
    """An animation over black, by the rules of the PNG specification, on straight 8-bit alpha."""
    canvas = np.zeros((32, 32, 4), np.float64)
    shown = []
    for (rgba, (y, x)), disposal, blend in zip(patches, disposals, blends, strict=True):
        before = canvas.copy()
        height, width = rgba.shape[:2]
        region = canvas[y : y + height, x : x + width]
        over = rgba.astype(np.float64)
        if blend:
            alpha, under = over[..., 3:] / 255, region[..., 3:] / 255
            total = alpha + under * (1 - alpha)
            colour = (over[..., :3] * alpha + region[..., :3] * under * (1 - alpha)) / np.maximum(total, 1e-9)
            over = np.concatenate([colour, 255 * total], -1)
        canvas[y : y + height, x : x + width] = over
        shown.append(canvas[..., :3] * canvas[..., 3:] / 255)
        if disposal == 1:
            canvas[y : y + height, x : x + width] = 0
        elif disposal == 2:
            canvas = before
    return np.stack(shown)


def write_apng(path, patches, disposals, blends):
    """Put an animated PNG together chunk by chunk, so that every patch is stored as it is given."""

    def chunk(kind, payload):
        return (
            struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))
        )

    def compressed(rgba):
        return zlib.compress(b"".join(b"\0" + row.tobytes() for row in rgba))

    header = struct.pack(">IIBBBBB", 32, 32, 8, 6, 0, 0, 0)
    parts = [
        b"\x89PNG\r\n\x1a\n",
        chunk(b"IHDR", header),
        chunk(b"acTL", struct.pack(">II", len(patches), 0)),
    ]
    number = 0
    for position, ((rgba, (y, x)), disposal, blend) in enumerate(
        zip(patches, disposals, blends, strict=True)
    ):
        height, width = rgba.shape[:2]
        control = struct.pack(">IIIIIHHBB", number, width, height, x, y, 40, 1000, disposal, blend)
        parts.append(chunk(b"fcTL", control))
        number += 1
        if position == 0:
            parts.append(chunk(b"IDAT", compressed(rgba)))
        else:
            parts.append(chunk(b"fdAT", struct.pack(">I", number) + compressed(rgba)))
            number += 1
    path.write_bytes(b"".join([*parts, chunk(b"IEND", b"")]))


@pytest.mark.parametrize("disposal", [0, 1, 2])
@pytest.mark.parametrize("blend", [0, 1])
def test_animated_png_is_composed_by_the_specification_whatever_is_read(disposal, blend, tmp_path):
    random = np.random.default_rng(0)
    patches = [(random.integers(0, 256, (32, 32, 4), np.uint8), (0, 0))]
    patches += [(random.integers(0, 256, (8, 12, 4), np.uint8), (3 * i, 2 * i)) for i in range(1, 6)]
    disposals, blends = [0] + [disposal] * 5, [0] + [blend] * 5
    path = tmp_path / "a.apng"
    write_apng(path, patches, disposals, blends)
    (clip,) = open_source(path).clips
    assert clip.count_frames() == 6
    whole = clip.read(range(6))
    for position in range(6):
        np.testing.assert_array_equal(clip.read([position])[0], whole[position])
    assert np.abs(whole - composed(patches, disposals, blends)).max() <= (1 if blend == 0 else 2)


def test_the_default_image_of_an_animated_png_is_no_frame(tmp_path):
    frames = [PIL.Image.fromarray(np.full((8, 8, 3), 40 * i, np.uint8)) for i in range(4)]
    frames[0].save(
        tmp_path / "a.png", save_all=True, append_images=frames[1:], duration=40, default_image=True
    )
    (clip,) = open_source(tmp_path / "a.png").clips
    assert clip.count_frames() == 3
    assert clip.read(range(3))[:, 0, 0, 0].tolist() == [40, 80, 120]


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.apng"])
def test_a_cut_animation_is_bad(name, tmp_path):
    images = [PIL.Image.fromarray(pixels) for pixels in coloured(6, side=24)]
    images[0].save(
        tmp_path / name,
        "PNG" if name == "a.apng" else None,
        save_all=True,
        append_images=images[1:],
        duration=100,
    )
    assert open_source(tmp_path).clips[0].count_frames() == 6
    data = (tmp_path / name).read_bytes()
    for kept in (0.4, 0.8):
        (tmp_path / name).write_bytes(data[: int(len(data) * kept)])
        with pytest.raises(BadClip):
            open_source(tmp_path).clips[0].count_frames()


def test_an_animation_is_not_a_frame(tmp_path):
    images = [PIL.Image.fromarray(pixels) for pixels in coloured(3)]
    images[0].save(tmp_path / "a.webp", save_all=True, append_images=images[1:], duration=100)
    with pytest.raises(BadClip, match="an animation where a single frame was expected"):
        open_source(tmp_path, layout="frames").clips[0].read([0])


def test_a_palette_gif_with_transparency_decodes(tmp_path):
    image = PIL.Image.new("P", (4, 4), 1)
    image.putpalette([9, 9, 9, 200, 100, 50])
    image.putpixel((0, 0), 0)
    image.save(tmp_path / "a.gif", transparency=0)
    (pixels,) = open_source(tmp_path).clips[0].read([0])
    assert pixels[0, 0].tolist() == [0, 0, 0]
    assert pixels[1, 1].tolist() == [200, 100, 50]


def test_image_kind_follows_the_rule(tmp_path):
    kinds = []
    for width, height in ((16, 4), (12, 4), (18, 4), (4, 16), (400, 4)):
        data = io.BytesIO()
        PIL.Image.new("RGB", (width, height)).save(data, "PNG")
        (tmp_path / "a.png").write_bytes(data.getvalue())
        (tmp_path / "b.png").write_bytes(data.getvalue())
        kinds.append(image_kind(open_source(tmp_path, layout="strips").clips[0].file))
    assert kinds == ["strip", "frame", "frame", "frame", "strip"]


def test_an_animation_read_as_a_strip_is_another_clip(tmp_path):
    """Counts and features are kept by fingerprint, and it has other frames then."""
    frames = [PIL.Image.fromarray(np.full((8, 32, 3), 40 * i, np.uint8)) for i in range(3)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:], duration=40)
    PIL.Image.fromarray(np.zeros((8, 32, 3), np.uint8)).save(tmp_path / "b.png")
    animation, _ = open_source(tmp_path, layout="auto").clips
    as_strip, strip = open_source(tmp_path, layout="strips").clips
    assert animation.count_frames() == 3
    assert as_strip.count_frames() == strip.count_frames() == 4
    assert as_strip.fingerprint() != animation.fingerprint()
    assert strip.fingerprint() == hashlib.sha256((tmp_path / "b.png").read_bytes()).hexdigest()
