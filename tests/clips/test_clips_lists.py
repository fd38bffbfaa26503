"""How clips are named: lists, tables of other programs, patterns, labels, and files that are left out."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image

from vgbench.clips import open_source, write_clips
from vgbench.clips.suffixes import describe, is_companion, suffix_of
from vgbench.errors import BadClip, ConfigError, VgbenchError

CLIP = np.random.default_rng(3).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)


@pytest.fixture
def data(tmp_path):
    """Two videos in the folders of their classes, and one whose name has spaces."""
    write_clips([CLIP], tmp_path / "walk", "mkv", names=["a"])
    write_clips([CLIP], tmp_path / "run", "mkv", names=["b"])
    write_clips([CLIP], tmp_path / "run", "mkv", names=["c d 7"])
    write_clips([CLIP], tmp_path / "frames of", "frames", names=["e 3"])
    np.save(tmp_path / "many.npy", CLIP[None].repeat(3, 0))
    return tmp_path


def found(spec, **reading):
    return [(clip.id, clip.label) for clip in open_source(spec, **reading).clips]


LISTS = {
    "paths": ("walk/a.mkv\nrun/b.mkv\n", [("run/b.mkv", None), ("walk/a.mkv", None)]),
    "paths and labels": ("walk/a.mkv 1\nrun/b.mkv 2\n", [("run/b.mkv", "2"), ("walk/a.mkv", "1")]),
    "tabs": ("walk/a.mkv\t1\n", [("walk/a.mkv", "1")]),
    "commas": ("walk/a.mkv,walk\nrun/b.mkv,run", [("run/b.mkv", "run"), ("walk/a.mkv", "walk")]),
    "numbers of frames": ("walk/a.mkv 5 1\nfrases 1\n", [("walk/a.mkv", "1")]),
    "frame folders": ("frames of/e 3 5 12\n", [("frames of/e 3", "12")]),
    "spaces": ("run/c d 7.mkv\nframes of/e 3\n", [("frames of/e 3", None), ("run/c d 7.mkv", None)]),
    "quotes": ("'run/c d 7.mkv' 4\n", [("run/c d 7.mkv", "4")]),
    "comments": ("# clips\n\nwalk/a.mkv\n", [("walk/a.mkv", None)]),
    "an array": ("many.npy 4\n", [(f"many.npy#{k:06d}", "4") for k in range(3)]),
    "a folder": ("run\nwalk/a.mkv\n", [("run/b.mkv", None), ("run/c d 7.mkv", None), ("walk/a.mkv", None)]),
    "a folder and a clip of it": ("run 1\nrun/b.mkv 2\n", [("run/b.mkv", "1"), ("run/c d 7.mkv", "1")]),
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("suffix", ["txt", "lst"])
def test_lists_of_paths(name, suffix, data):
    text, expected = LISTS[name]
    (data / f"list.{suffix}").write_text(text)
    assert found(data / f"list.{suffix}") == expected


def test_a_list_of_frame_folders_at_an_address(data):
    files = fsspec.filesystem("memory")
    files.put(str(data), "/listed", recursive=True)
    files.pipe("/listed/l.txt", b"walk/a.mkv 1\nrun/b.mkv\n")
    assert found("memory://listed/l.txt") == [("run/b.mkv", None), ("walk/a.mkv", "1")]


TABLES = {
    "OpenSora": ("path,text,num_frames\nwalk/a.mkv,a ball,16\n", [("walk/a.mkv", None)], "text, num_frames"),
    "Hugging Face": ("file_name,label\nwalk/a.mkv,x\n", [("walk/a.mkv", "x")], ""),
    "other names": ("Video Path,Class Name,Group-ID\nwalk/a.mkv,x,g\n", [("walk/a.mkv", "x")], ""),
    "two labels": ("file,label,category\nwalk/a.mkv,x,y\n", [("walk/a.mkv", "x")], "category"),
    "semicolons": ("path;label\nwalk/a.mkv;x,y\n", [("walk/a.mkv", "x,y")], ""),
    "no names": ("walk/a.mkv,x\nrun/b.mkv,y\n", [("run/b.mkv", "y"), ("walk/a.mkv", "x")], ""),
    "no names, spaces": ("walk/a.mkv 0\n", [("walk/a.mkv", "0")], ""),
    "an array": ("path,label\nmany.npy,x\n", [(f"many.npy#{k:06d}", "x") for k in range(3)], ""),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_other_programs(name, data):
    text, expected, unused = TABLES[name]
    (data / "t.csv").write_text(text)
    source = open_source(data / "t.csv")
    assert [(clip.id, clip.label) for clip in source.clips] == expected
    assert [note.partition("not used: ")[2] for note in source.notes] == ([unused] if unused else [])


def test_metadata_of_hugging_face_in_json_lines(data):
    lines = [{"file_name": "walk/a.mkv", "class": 3, "tags": ["x"]}, {"file_name": "run/b.mkv", "fps": 8}]
    (data / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert found(data / "metadata.jsonl") == [("run/b.mkv", None), ("walk/a.mkv", "3")]
    (data / "t.tsv").write_text("path\tlabel\nwalk/a.mkv\tx, y\n")
    assert found(data / "t.tsv") == [("walk/a.mkv", "x, y")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,lable\nwalk/a.mkv,x\n", "unknown key 'lable'"),
        ("file,video\nwalk/a.mkv,x\n", "'file' and 'video' may both be the path"),
        ("path,class,category\nwalk/a.mkv,x,y\n", "may both be the label"),
        ("path,start_frame,end_frame\nwalk/a.mkv,0,3\n", "'end_frame' is not read"),
        ("text,label\nhello,x\n", "'path' is missing"),
        ("path,value_range\nwalk/a.mkv,3\n", "line 2: 'value_range'"),
        ("path;value_range\nwalk/a.mkv;1,0\n", r"line 2: 'value_range' .* is empty"),
        ("path,axes\nwalk/a.mkv,TXY\n", "line 2: 'axes'"),
    ],
)
def test_tables_that_would_be_misread_are_errors(text, message, data):
    (data / "t.csv").write_text(text)
    with pytest.raises(ConfigError, match=message):
        open_source(data / "t.csv")


def test_a_manifest_states_ranges_and_axes(data):
    np.save(data / "unit.npy", (CLIP / 255).astype(np.float32))
    np.save(data / "grey.npy", CLIP[..., 0])
    lines = ['unit.npy,"0,1",', "grey.npy,,THW", "unit.npy,,"]
    (data / "t.csv").write_text("\n".join(["path,value_range,axes", *lines[:2]]))
    grey, unit = open_source(data / "t.csv").clips
    np.testing.assert_array_equal(unit.read(range(5)), CLIP)
    np.testing.assert_array_equal(grey.read(range(5))[..., 2], CLIP[..., 0])
    (data / "t.jsonl").write_text(json.dumps({"path": "unit.npy", "value_range": [0, 1]}))
    np.testing.assert_array_equal(open_source(data / "t.jsonl").clips[0].read(range(5)), CLIP)


def test_a_bad_clip_of_a_folder_that_a_line_names_is_named(data):
    (data / "run" / "empty.mp4").touch()
    (data / "t.csv").write_text("path\nrun\n")
    source = open_source(data / "t.csv")
    assert len(source.clips) == 2
    assert [skipped.reason for skipped in source.skipped] == ["zero bytes"]


def test_patterns_stand_for_files_and_folders(data, monkeypatch):
    assert found(f"{data}/run/*.mkv") == [("b.mkv", None), ("c d 7.mkv", None)]
    assert found(f"{data}/**/*.mkv") == [
        ("run/b.mkv", "run"),
        ("run/c d 7.mkv", "run"),
        ("walk/a.mkv", "walk"),
    ]
    assert found(f"{data}/[rw]*") == found(f"{data}/**/*.mkv")  # whole folders, as if they had been named
    assert found(f"{data}/many.n?y") == [(f"many.npy#{k:06d}", None) for k in range(3)]
    monkeypatch.chdir(data)
    assert found("*/a.mkv") == [("walk/a.mkv", "walk")]
    with pytest.raises(VgbenchError, match="no file or folder matches"):
        open_source(f"{data}/*.webm")
    (data / "t.csv").write_text("path,label\nrun/*.mkv,x\n")
    assert [label for _, label in found(data / "t.csv")] == ["x", "x"]
    assert found(f"{data}/t*.csv") == found(data / "t.csv")  # the only match is what the user names


def test_a_name_with_the_marks_of_a_pattern_is_that_name(data):
    write_clips([CLIP], data / "odd [1]", "mkv", names=["x*y"])
    assert found(data / "odd [1]") == [("x*y.mkv", None)]
    assert found(data / "odd [1]" / "x*y.mkv") == [("x*y.mkv", None)]


def test_patterns_in_addresses(data):
    fsspec.filesystem("memory").put(str(data), "/matched", recursive=True)
    assert found("memory://matched/*/*.mkv") == [
        ("run/b.mkv", "run"),
        ("run/c d 7.mkv", "run"),
        ("walk/a.mkv", "walk"),
    ]
    assert [clip.count_frames() for clip in open_source("memory://matched/w*").clips] == [5]


def test_the_home_folder(data, monkeypatch):
    monkeypatch.setenv("HOME", str(data))
    source = open_source("~/walk")
    assert source.name == str(data / "walk")
    assert found("~/run/*.mkv") == [("b.mkv", None), ("c d 7.mkv", None)]
    assert found("distort:freeze=1:~/walk")[0][0] == "a.mkv"
    (data / "t.csv").write_text("path\n~/walk/a.mkv\n")
    assert found("~/t.csv") == [("~/walk/a.mkv", None)]


def frames(count):
    """The bytes of PNG frames."""
    for image in CLIP[:count]:
        Image.fromarray(image).save(made := io.BytesIO(), "PNG")
        yield made.getvalue()


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
@pytest.mark.parametrize("form", ["list", "mapping"])
def test_labels_of_style_gan(kind, form, tmp_path):
    files, pairs = {}, []
    for k, label in enumerate([2, [0, 1, 0], None, [0.5, 1, 0]]):
        for i, frame in enumerate(frames(3)):
            files[f"v{k}/{i:06d}.png"] = frame
            pairs.append([f"v{k}/{i:06d}.png", label])
    document = {"labels": pairs if form == "list" else dict(map(tuple, pairs))}
    files["dataset.json"] = json.dumps(document).encode()
    path = tmp_path / f"a.{kind}"
    if kind == "folder":
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, "w") as archive:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    source = open_source(path)
    assert [(clip.id, clip.label) for clip in source.clips] == [
        ("v0", "2"),
        ("v1", "1"),
        ("v2", None),
        ("v3", None),
    ]
    assert not source.skipped
    assert not source.left_out


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"labels": 3}', b'{"labels": [1]}', b"[" * 100_000])
def test_a_damaged_file_of_labels_is_named_and_costs_no_clip(content, tmp_path):
    write_clips([CLIP], tmp_path, "mkv", names=["a"])
    (tmp_path / "dataset.json").write_bytes(content)
    source = open_source(tmp_path)
    assert len(source.clips) == 1
    assert "dataset.json" in source.skipped[0].path


def test_what_is_left_out_is_counted(data):
    for name in (
        "x.rar",
        "y.rar",
        "notes.txt",
        "Thumbs.db",
        "README",
        "z.UNKNOWN",
        "no_suffix",
        ".hidden.xyz",
    ):
        (data / "run" / name).write_bytes(b"x")
    source = open_source(data)
    assert source.left_out == {
        ".rar": 2,
        ".txt": 1,
        "README": 1,
        ".unknown": 1,
        "(no suffix)": 1,
    }
    assert describe({".txt": 2, ".csv": 1}) == "3 files left out: 2 .txt, 1 .csv"
    assert describe({".rar": 1}) == "1 file left out: 1 .rar"
    expected = {kind: kind in (".txt", "README") for kind in source.left_out}
    assert {kind: is_companion(kind) for kind in source.left_out} == expected
    assert suffix_of("a/b.tar.GZ") == ".gz"
    with zipfile.ZipFile(data / "a.zip", "w") as archive:
        archive.write(data / "walk" / "a.mkv", "a.mkv")
        archive.writestr("b.rar", b"x")
        archive.writestr("a.json", '{"label": "x"}')
    assert open_source(data / "a.zip").left_out == {".rar": 1}
    assert open_source(data).left_out[".rar"] == 3


def test_a_folder_with_nothing_else_names_what_it_holds(tmp_path):
    (tmp_path / "x.rar").write_bytes(b"x")
    with pytest.raises(VgbenchError, match=r"1 file left out: 1 \.rar"):
        open_source(tmp_path)


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".tga", ".qoi", ".sgi", ".pcx", ".jp2", ".avif", ".pnm"])
def test_frames_of_every_format_that_pillow_reads(suffix, tmp_path):
    lossless = suffix not in (".jfif", ".jpe", ".avif")
    for i, image in enumerate(CLIP.repeat(4, 1).repeat(4, 2)):
        Image.fromarray(image).save(tmp_path / f"f{i}{suffix}")
    (clip,) = open_source(tmp_path).clips
    read = clip.read(range(5))
    if lossless:
        np.testing.assert_array_equal(read, CLIP.repeat(4, 1).repeat(4, 2))
    expected = [np.asarray(Image.open(tmp_path / f"f{i}{suffix}").convert("RGB")) for i in range(5)]
    np.testing.assert_array_equal(read, expected)
    assert clip.is_lossless() == (suffix in (".tga", ".qoi", ".sgi", ".pcx", ".pnm"))


def test_an_animated_avif_is_a_clip(tmp_path):
    images = [Image.fromarray(image) for image in CLIP.repeat(4, 1).repeat(4, 2)]
    images[0].save(tmp_path / "a.avif", save_all=True, append_images=images[1:], duration=40)
    (clip,) = open_source(tmp_path).clips
    assert clip.id == "a.avif"
    assert clip.count_frames() == 5
    with Image.open(tmp_path / "a.avif") as image:
        image.seek(3)
        np.testing.assert_array_equal(clip.read([3])[0], np.asarray(image.convert("RGB")))


def test_a_format_without_its_plugin_says_what_to_install(tmp_path, monkeypatch):
    from vgbench.clips import images

    monkeypatch.setattr(images, "_readable_formats", lambda: ("PNG",))
    (tmp_path / "f0.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    (clip,) = open_source(tmp_path).clips
    with pytest.raises(BadClip, match="pip install pi-heif"):
        clip.read([0])


def test_a_path_of_a_list_stays_inside_no_folder_but_that_of_the_list(data):
    (data / "lists").mkdir()
    (data / "lists" / "l.txt").write_text("../walk/a.mkv\n")
    assert Path(open_source(data / "lists" / "l.txt").clips[0].id) == Path("../walk/a.mkv")
