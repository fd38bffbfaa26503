"""Folders of images as people have them: their clips, ids, labels and frames, and what is skipped."""

from __future__ import annotations

import io
import os
import random
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import fsspec
import numpy as np
import PIL.Image
import pytest

from vgbench.clips import ClipSource, open_source, write_clips
from vgbench.clips.layout import Layout, parse_layout
from vgbench.datasets.inspect import inspect_source
from vgbench.datasets.prepare import prepare
from vgbench.errors import ConfigError, VgbenchError

R = range
Clips = dict[str, list[str]]
"""Id of a clip -> the names of its frames, in their order."""


def image(value: int, size: tuple[int, int] = (6, 4)) -> bytes:
    data = io.BytesIO()
    PIL.Image.new("RGB", size, (value, 0, 0)).save(data, "PNG")
    return data.getvalue()


def write(root: Path, names: Iterable[str]) -> Path:
    """Write images in any order; the position of a name among all is its red value."""
    order = list(enumerate(names))
    random.Random(0).shuffle(order)
    for position, name in order:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(image(position))
    return root


def frames_of(source: ClipSource, names: list[str]) -> Clips:
    """What was read, by the red values of the frames."""
    return {
        clip.id: [names[value] for value in clip.read(range(clip.count_frames()))[:, 0, 0, 0]]
        for clip in source.clips
    }


def reasons(source: ClipSource) -> str:
    return "; ".join(f"{Path(entry.path).name}: {entry.reason}" for entry in source.skipped)


def as_folder(root: Path) -> str:
    return str(root)


def as_zip(root: Path) -> str:
    return shutil.make_archive(f"{root}-packed", "zip", root)


def as_tar(root: Path) -> str:
    return shutil.make_archive(f"{root}-packed", "tar", root)


def as_url(root: Path) -> str:
    url = f"memory://series-{random.randrange(10**9)}"
    fsspec.filesystem("memory").put(str(root), url, recursive=True)
    return url


STORES: list[Callable[[Path], str]] = [as_folder, as_zip, as_tar, as_url]

LAYOUTS: dict[str, tuple[list[str], Clips]] = {
    "a folder for each clip": (
        names := [f"walk/c{c}/{n:04d}.png" for c in R(2) for n in R(3)],
        {"walk/c0": names[:3], "walk/c1": names[3:]},
    ),
    "flat in class folders": (
        names := [f"class{k}/clip{c:02d}_frame{n}.png" for k in R(2) for c in R(2) for n in R(5)],
        {f"class{i // 2}/clip{i % 2:02d}": names[5 * i : 5 * i + 5] for i in R(4)},
    ),
    "a class with one clip": (
        names := [f"a/c{c}_f{n}.png" for c in R(2) for n in R(5)] + [f"b/c0_f{n}.png" for n in R(5)],
        {"a/c0": names[:5], "a/c1": names[5:10], "b/c0": names[10:]},
    ),
    "clips numbered in their folders": (
        names := [f"clip{c}/clip{c}_frame{n}.png" for c in R(3) for n in R(5)],
        {f"clip{c}": names[5 * c : 5 * c + 5] for c in R(3)},
    ),
    "WebDataset": (
        names := [f"{c:06d}.{n:03d}.png" for c in R(2) for n in R(5)],
        {"000000": names[:5], "000001": names[5:]},
    ),
    "UCF-101": (
        names := [f"Yo/v_Yo_g01_c0{c}/frame{n:06d}.jpg" for c in R(1, 3) for n in R(1, 4)],
        {"Yo/v_Yo_g01_c01": names[:3], "Yo/v_Yo_g01_c02": names[3:]},
    ),
    "DAVIS": (
        names := [f"JPEGImages/480p/{k}/{n:05d}.jpg" for k in ("bear", "camel") for n in R(3)],
        {"JPEGImages/480p/bear": names[:3], "JPEGImages/480p/camel": names[3:]},
    ),
    "KITTI": (
        names := [f"drive_0001/image_0{k}/data/{n:010d}.png" for k in R(2, 4) for n in R(3)],
        {"drive_0001/image_02/data": names[:3], "drive_0001/image_03/data": names[3:]},
    ),
    "Something-Something": (
        names := [f"{c}/{n:05d}.jpg" for c in (12, 345) for n in R(1, 4)],
        {"12": names[:3], "345": names[3:]},
    ),
    "two suffixes and no padding": (
        names := [f"c/frame{n}.{'jpg' if n < 6 else 'png'}" for n in R(1, 12)],
        {"c": names},
    ),
    "negative numbers": (names := [f"c/frame_{n}.png" for n in R(-3, 3)], {"c": names}),
    "a folder beside flat clips of the same name": (
        names := [f"clip{c}_frame{n}.png" for c in R(2) for n in R(4)] + [f"clip0/{n}.png" for n in R(4)],
        {"clip0": names[8:], "clip0_frame*.png": names[:4], "clip1": names[4:8]},
    ),
    "letters": (names := [f"c/{letter}.png" for letter in "abc"], {"c": names}),
    "one image": (names := ["c/0.png"], {"c": names}),
}


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize(("names", "clips"), LAYOUTS.values(), ids=LAYOUTS)
def test_layouts_that_people_have(
    names: list[str], clips: Clips, store: Callable[[Path], str], tmp_path: Path
) -> None:
    source = open_source(store(write(tmp_path / "data", names)))
    assert (frames_of(source, names), reasons(source)) == (clips, "")
    assert [clip.label for clip in source.clips] == [
        clip.rpartition("/")[0] or None for clip in sorted(clips)
    ]


def test_flat_clips_are_the_clips_of_folders(tmp_path: Path) -> None:
    """Same ids, labels, bytes and frames, so that every protocol draws the same windows."""
    flat = [f"k{k}/clip{c}_frame{n}.png" for k in R(2) for c in R(2) for n in R(5)]
    sources = [
        open_source(write(tmp_path / "flat", flat)),
        open_source(write(tmp_path / "deep", [name.replace("_frame", "/frame") for name in flat])),
    ]
    ids, fingerprints = (
        [[f(c) for c in s.clips] for s in sources]
        for f in (lambda c: (c.id, c.label), lambda c: c.fingerprint())
    )
    assert ids[0] == ids[1]
    assert fingerprints[0] == fingerprints[1]


DEPTH = [f"s{k}/frame-{n:06d}.{kind}.png" for k in R(2) for kind in ("color", "depth") for n in R(4)]


@pytest.mark.parametrize("store", STORES)
def test_colour_beside_depth_is_skipped_and_named_with_what_settles_it(
    store: Callable[[Path], str], tmp_path: Path
) -> None:
    place = store(write(tmp_path / "data", DEPTH))
    with pytest.raises(
        VgbenchError, match="s0 and 1 more: 8 images that can be read in more than one way"
    ) as caught:
        open_source(place)
    for reading in (
        "2 clips (frame-*.color.png, frame-*.depth.png)",
        "--layout series",
        "several images of each",
    ):
        assert reading in caught.value.message
    assert "--layout 'auto=frame-*.color.png'" in caught.value.message
    assert "--layout" in (caught.value.remedy or "")
    colours = open_source(place, layout="auto=frame-*.color.png")
    assert frames_of(colours, DEPTH) == {"s0": DEPTH[:4], "s1": DEPTH[8:12]}
    assert (colours.layout, colours.skipped) == ("auto=frame-*.color.png", ())
    both = open_source(place, layout="series")
    assert [(clip.id, clip.label) for clip in both.clips] == [
        (f"s{k}/{kind}", f"s{k}") for k in R(2) for kind in ("color", "depth")
    ]
    together = open_source(place, layout="frames")
    assert {clip.id: clip.count_frames() for clip in together.clips} == {"s0": 8, "s1": 8}


def test_one_folder_that_is_a_question_costs_no_other(tmp_path: Path) -> None:
    names = [f"a/{n}.png" for n in R(4)] + [f"b/{kind}_{n}.png" for kind in ("gt", "pred") for n in R(4)]
    source = open_source(write(tmp_path, names))
    assert [clip.id for clip in source.clips] == ["a"]
    assert "b: 8 images that can be read in more than one way" in reasons(source)


def test_the_layout_may_precede_the_clips_wherever_they_are_named(tmp_path: Path) -> None:
    root = write(tmp_path / "data", DEPTH)
    found = open_source(f"layout:auto=*.color.png:{root}")
    assert (found.name, found.layout, len(found.clips)) == (str(root), "auto=*.color.png", 2)
    noisy = open_source(f"distort:noise=0.5:layout:series:{root}")
    assert [clip.id for clip in noisy.clips] == ["s0/color", "s0/depth", "s1/color", "s1/depth"]
    (tmp_path / "m.csv").write_text("path\ndata/s0\n")
    assert open_source(f"layout:auto=*.depth.png:{tmp_path}/m.csv").clips[0].count_frames() == 4
    for wrong in ("layout:series", "layout:series:", "layout:serial:x"):
        with pytest.raises(ConfigError, match="layout"):
            open_source(wrong)


def test_a_pattern_that_matches_nothing_is_named(tmp_path: Path) -> None:
    """As on the other side of an evaluation, which has images of other names."""
    write(tmp_path, [f"c/{n}.png" for n in R(4)])
    with pytest.raises(VgbenchError, match=r"no image whose name matches img_\*") as caught:
        open_source(tmp_path, layout="auto=img_*")
    assert "layout:auto=img_*:CLIPS is for one of them" in (caught.value.remedy or "")


@pytest.mark.parametrize("text", ["auto", "series", "strips=*_fake.png", "frames=IMG_*", "sorted"])
def test_a_layout_is_written_as_it_was_given(text: str) -> None:
    assert str(parse_layout(text)) == text


def test_a_pattern_matches_in_upper_and_lower_case() -> None:
    assert Layout("auto", "img_*.JPG").takes("IMG_1.jpg")
    assert not Layout("auto", "img_*.jpg").takes("flow_1.jpg")


@pytest.mark.parametrize("wrong", ["stripes", "frames=", "", "=x", "Auto"])
def test_a_wrong_layout_names_the_right_ones(wrong: str) -> None:
    with pytest.raises(ConfigError, match="unknown layout") as caught:
        parse_layout(wrong)
    assert "auto, frames, series, sorted, strips" in (caught.value.remedy or "")


@pytest.mark.parametrize("store", STORES)
def test_a_lost_frame_makes_a_bad_clip(store: Callable[[Path], str], tmp_path: Path) -> None:
    names = [f"c{c}/{n:04d}.png" for c in R(2) for n in R(6)] + [
        f"f/k{c}_{n}.png" for c in R(2) for n in R(6)
    ]
    left = [name for name in names if name not in ("c1/0003.png", "f/k0_2.png")]
    source = open_source(store(write(tmp_path / "data", left)))
    assert [clip.id for clip in source.clips] == ["c0", "f/k1"]
    assert "c1: frame 0003 is missing between 0002.png and 0004.png; --layout sorted reads" in reasons(source)
    assert "k0_*.png: frame 2 is missing between k0_1.png and k0_3.png" in reasons(source)
    assert len(open_source(source.name, layout="frames").clips) == 2, "c1 lacks a frame in any case"
    assert len(open_source(source.name, layout="sorted").clips) == 3


def test_every_fifth_frame_is_no_gap(tmp_path: Path) -> None:
    names = [f"c/{n:05d}.png" for n in R(0, 40, 5)]
    assert frames_of(open_source(write(tmp_path, names)), names) == {"c": names}


@pytest.mark.parametrize("place", [0, 3, 5])
def test_a_broken_link_makes_a_bad_clip(place: int, tmp_path: Path) -> None:
    """Also at the end, where the numbers do not show that a frame is missing."""
    write(tmp_path, [f"c{c}/{n}.png" for c in R(2) for n in R(6)])
    lost = tmp_path / "c1" / f"{place}.png"
    lost.unlink()
    lost.symlink_to(tmp_path / "nowhere.png")
    for layout in ("auto", "frames", "sorted"):
        source = open_source(tmp_path, layout=layout)
        assert [clip.id for clip in source.clips] == ["c0"]
        assert reasons(source) == f"c1: {place}.png: broken link"


def test_links_to_frames_are_frames(tmp_path: Path) -> None:
    """Soft or hard, in a folder or in a tar: a frame that is held is stored once and shown twice."""
    names = [f"c{c}/{n}.png" for c in R(2) for n in R(6)]
    write(tmp_path / "data", names)
    hard, soft = tmp_path / "data" / "c0" / "3.png", tmp_path / "data" / "c1" / "4.png"
    hard.unlink()
    os.link(hard.with_name("2.png"), hard)
    soft.unlink()
    soft.symlink_to("3.png")
    shown = {
        "c0": [names[n] for n in (0, 1, 2, 2, 4, 5)],
        "c1": [names[n] for n in (6, 7, 8, 9, 9, 11)],
    }
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(tmp_path / "data", arcname=".")
    assert frames_of(open_source(tmp_path / "data"), names) == shown
    source = open_source(tmp_path / "a.tar")
    assert (frames_of(source, names), reasons(source)) == (shown, "")


def test_links_in_a_zip_lead_to_members_and_never_out(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in R(3):
            archive.writestr(f"c/{number}.png", image(number))
            archive.writestr(f"d/{number}.png", image(number))
        for name, target in (
            ("c/3.png", "../c/2.png"),
            ("d/3.png", "../../etc/passwd"),
            ("e/0.png", "/c/0.png"),
        ):
            link = zipfile.ZipInfo(name)
            link.external_attr = 0o120777 << 16
            archive.writestr(link, target)
    source = open_source(tmp_path / "a.zip")
    (clip,) = source.clips
    assert (clip.id, clip.read(range(4))[:, 0, 0, 0].tolist()) == ("c", [0, 1, 2, 2])
    assert reasons(source) == "d: 3.png: a link inside an archive; e: 0.png: a link inside an archive"


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, target in (("c/0.png", "1.png"), ("c/1.png", "0.png")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
    with pytest.raises(VgbenchError, match=r"0\.png: a link inside an archive"):
        open_source(tmp_path / "a.tar")


@pytest.mark.parametrize("kept", [512 * 10, 512 * 10 + 100, 512 * 11 + 20])
def test_the_clip_in_which_a_tar_ends_early_is_bad(kept: int, tmp_path: Path) -> None:
    """At the end of a member, in the next header, and in the next member."""
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for clip in R(3):
            for number in R(3):
                info = tarfile.TarInfo(f"c{clip}/{number}.png")
                info.size = len(image(number))
                archive.addfile(info, io.BytesIO(image(number)))
    path = tmp_path / "a.tar"
    assert open_source(path).skipped == ()
    path.write_bytes(path.read_bytes()[:kept])
    source = open_source(path)
    assert [clip.id for clip in source.clips] == ["c0"]
    assert "c1: " in reasons(source)
    assert "a.tar: damaged after member" in reasons(source)


def test_an_encrypted_or_special_frame_makes_a_bad_clip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in R(4):
            archive.writestr(f"c/{number}.png", image(number), zipfile.ZIP_LZMA if number == 3 else None)
            archive.writestr(f"d/{number}.png", image(number))
    source = open_source(tmp_path / "a.zip")
    assert [clip.id for clip in source.clips] == ["d"]
    assert reasons(source) == "c: 3.png: compressed by a method other than deflate"
    write(tmp_path / "e", [f"c/{n}.png" for n in R(3)])
    os.mkfifo(tmp_path / "e" / "c" / "3.png")
    with pytest.raises(VgbenchError, match=r"3\.png: not a plain file"):
        open_source(tmp_path / "e")


@pytest.mark.parametrize("store", STORES)
def test_arrays_that_are_no_clips_cost_no_frames(store: Callable[[Path], str], tmp_path: Path) -> None:
    names = [f"ep{k}/{n:04d}.png" for k in R(2) for n in R(4)]
    root = write(tmp_path / "data", names)
    for k in R(2):
        np.save(root / f"ep{k}" / "actions.npy", np.zeros((16, 7), np.float32))
    (root / "ep1" / "failed.mp4").write_bytes(b"")
    source = open_source(store(root))
    assert frames_of(source, names) == {"ep0": names[:4], "ep1": names[4:]}
    assert source.left_out == {".npy without clips": 2}
    np.save(root / "clips.npy", np.zeros((2, 4, 8, 8, 3), np.uint8))
    np.save(root / "states.npy", np.zeros((16, 7), np.float32))
    assert len(open_source(store(root)).clips) == 4


def test_labels_beside_the_samples_of_an_archive_say_which_images_are_a_clip(tmp_path: Path) -> None:
    names = [f"{key}.{n:03d}.png" for key in ("3fa8", "walk", "x") for n in R(4)]
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        members = {name: image(position) for position, name in enumerate(names)}
        members |= {"3fa8.cls": b"run", "walk.json": b'{"label": "walk", "group": "g"}'}
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    source = open_source(tmp_path / "a.tar")
    assert frames_of(source, names) == {"3fa8": names[:4], "walk": names[4:8], "x": names[8:]}
    assert [(clip.label, clip.group) for clip in source.clips] == [("run", None), ("walk", "g"), (None, None)]


def test_each_shard_is_read_as_the_others_are(tmp_path: Path) -> None:
    for shard, keys in enumerate((R(3), R(3, 5), R(5, 6))):
        folder = write(tmp_path / f"shard{shard}", [f"{key:06d}.{n:03d}.png" for key in keys for n in R(4)])
        (tmp_path / "data").mkdir(exist_ok=True)
        Path(shutil.make_archive(str(folder), "tar", folder)).rename(tmp_path / "data" / f"{shard}.tar")
    ids = [clip.id for clip in open_source(tmp_path / "data").clips]
    assert ids == [
        f"{shard}.tar/{key:06d}" for shard, key in ((0, 0), (0, 1), (0, 2), (1, 3), (1, 4), (2, 5))
    ]


def test_stray_frames_in_one_folder_change_no_other(tmp_path: Path) -> None:
    names = [f"clip{c}/clip{c}_frame{n}.png" for c in R(4) for n in R(5)]
    stray = [f"clip1/clip9_frame{n}.png" for n in R(5)]
    ids = [clip.id for clip in open_source(write(tmp_path, [*names, *stray])).clips]
    assert ids == ["clip0", "clip1/clip1", "clip1/clip9", "clip2", "clip3"]


def test_an_image_without_number_is_left_out_and_named(tmp_path: Path) -> None:
    names = [f"c/{n:04d}.png" for n in R(4)] + ["c/preview.png"]
    source = open_source(write(tmp_path, names))
    assert frames_of(source, names) == {"c": names[:4]}
    assert "1 image is not numbered as the frames are and left out, such as preview.png" in reasons(source)
    assert open_source(tmp_path, layout="frames").clips[0].count_frames() == 5


def test_a_still_image_beside_animations_costs_none_of_them(tmp_path: Path) -> None:
    """Whichever comes first by name."""
    frames = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
    write_clips([frames, frames], tmp_path, "webp")
    (tmp_path / "00-cover.png").write_bytes(image(0, (8, 8)))
    source = open_source(tmp_path)
    assert [clip.count_frames() for clip in source.clips] == [3, 3]
    assert "1 images beside clips are not used" in reasons(source)


def test_strips_are_told_from_series(tmp_path: Path) -> None:
    for k in R(2):
        for n in R(3):
            (tmp_path / f"clip{k}_frame{n}.png").write_bytes(image(0, (32, 8)))
    assert len(open_source(tmp_path).clips) == 6
    assert len(open_source(tmp_path, layout="series").clips) == 2
    assert len(open_source(tmp_path, layout="strips=clip0*").clips) == 3


def test_inspect_names_what_it_cannot_read(tmp_path: Path) -> None:
    write(tmp_path, [*DEPTH, *(f"c/{n}.png" for n in (0, 1, 3, 4)), *(f"d/{n}.png" for n in R(4))])
    found = inspect_source(str(tmp_path))
    assert (found.clips, len(found.bad)) == (1, 3)
    assert any("--layout series" in line for line in found.lines())
    assert any("frame 2 is missing" in line for line in found.lines())


def test_prepare_names_the_clips_that_cannot_be_used(tmp_path: Path) -> None:
    write(tmp_path, [f"sky_train/a_{k}/{n}.png" for k in R(8) for n in R(4) if (k, n) != (2, 1)])
    write(tmp_path, [f"sky_test/b_{k}/{v}_{n}.png" for k in R(8) for v in ("rgb", "flow") for n in R(4)])
    done = prepare("sky", tmp_path)
    problems = "\n".join(done.problems)
    assert "a_2: none of its files can be used" in problems
    assert "frame 1 is missing" in problems
    assert "test: " in problems
    assert "rgb_*.png" in problems
