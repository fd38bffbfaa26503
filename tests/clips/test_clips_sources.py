from __future__ import annotations

import gzip
import io
import json
import math
import os
import pickle
import random
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np
import PIL.Image
import pytest

from vgbench.clips import ClipSource, listing, open_source, subset, write_clips
from vgbench.clips.files import DeflatedMember, LocalFile, _checkpoints
from vgbench.errors import BadClip, ConfigError, VgbenchError

CLIP = np.random.default_rng(2).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)


def png(pixels: np.ndarray) -> bytes:
    data = io.BytesIO()
    PIL.Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


def strip(shift: int = 0) -> bytes:
    return png(np.concatenate(list(np.roll(CLIP, shift, axis=2)), axis=1))


def mkv() -> bytes:
    folder = Path(os.environ["VGBENCH_CACHE"])
    return write_clips([CLIP], folder, "mkv")[0].read_bytes()


def npy() -> bytes:
    data = io.BytesIO()
    np.save(data, CLIP[None])
    return data.getvalue()


def tree() -> dict[str, bytes]:
    """A bit of everything, as relative path -> bytes."""
    frames = {f"walk/f/frame{number}.png": png(CLIP[number]) for number in range(5)}
    return frames | {
        "run/a.mkv": mkv(),
        "run/strips/b.png": strip(),
        "c.npy": npy(),
        "notes.txt": b"ignored",
        ".hidden.mkv": b"ignored",
        "run/.cache/d.mkv": b"ignored",
        "empty.mp4": b"",
    }


EXPECTED = [
    ("c.npy#000000", None),
    ("run/a.mkv", "run"),
    ("run/strips/b.png", "run/strips"),
    ("walk/f", "walk"),
]


def in_folder(files: dict[str, bytes], tmp_path: Path) -> str:
    for name, data in files.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return str(tmp_path / "data")


def in_zip(files: dict[str, bytes], tmp_path: Path) -> str:
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for number, (name, data) in enumerate(files.items()):
            archive.writestr(name, data, zipfile.ZIP_DEFLATED if number % 2 else zipfile.ZIP_STORED)
    return str(tmp_path / "data.zip")


def in_tar(files: dict[str, bytes], tmp_path: Path) -> str:
    with tarfile.open(tmp_path / "data.tar", "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return str(tmp_path / "data.tar")


def in_memory(local: str) -> str:
    """Copy a folder or file to fsspec's memory file system."""
    url = f"memory://bucket-{random.randrange(10**9)}/data{Path(local).suffix}"
    fs = fsspec.filesystem("memory")
    fs.put(local, url, recursive=True)
    return url


STORES: dict[str, Callable[[dict[str, bytes], Path], str]] = {
    "folder": in_folder,
    "zip": in_zip,
    "tar": in_tar,
    "remote folder": lambda files, tmp_path: in_memory(in_folder(files, tmp_path)),
    "remote zip": lambda files, tmp_path: in_memory(in_zip(files, tmp_path)),
    "remote tar": lambda files, tmp_path: in_memory(in_tar(files, tmp_path)),
}


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("whole_download", [2**26, 3000])
def test_the_same_clips_wherever_they_lie(store, whole_download, tmp_path, monkeypatch):
    monkeypatch.setattr("vgbench.clips.files.WHOLE_DOWNLOAD_BYTES", whole_download)
    files = tree()
    source = open_source(STORES[store](files, tmp_path))
    assert [(clip.id, clip.label) for clip in source.clips] == EXPECTED
    for clip in pickle.loads(pickle.dumps(source.clips)):
        assert clip.count_frames() == 5
        np.testing.assert_array_equal(clip.read([0, 3]), CLIP[[0, 3]])
    assert [(Path(skipped.path).name, skipped.reason) for skipped in source.skipped] == [
        ("empty.mp4", "zero bytes")
    ]
    (tmp_path / "again").mkdir()
    plain = open_source(in_folder(files, tmp_path / "again"))
    assert [clip.fingerprint() for clip in source.clips] == [clip.fingerprint() for clip in plain.clips]


@pytest.mark.parametrize("remote", [False, True])
def test_one_file_is_a_source(remote, tmp_path):
    spec = str(write_clips([CLIP], tmp_path, "mkv")[0])
    source = open_source(in_memory(spec) if remote else spec)
    (clip,) = source.clips
    assert (clip.label, clip.count_frames()) == (None, 5)


def test_a_folder_of_shards_names_the_shard_in_the_id(tmp_path):
    (tmp_path / "train").mkdir()
    for number in range(2):
        in_tar({"a.png": strip(number), "b.png": strip(3)}, tmp_path)
        (tmp_path / "data.tar").rename(tmp_path / "train" / f"shard-{number}.tar")
    clips = open_source(tmp_path).clips
    assert [clip.id for clip in clips] == [f"train/shard-{n}.tar/{name}.png" for n in "01" for name in "ab"]
    assert {clip.label for clip in clips} == {"train"}


def test_webdataset_labels(tmp_path):
    files = {
        "000.png": strip(),
        "000.cls": b"7\n",
        "001.png": strip(1),
        "001.json": json.dumps({"label": "jump", "group": 4, "fps": 8}).encode(),
        "002.png": strip(2),
        "002.json": b"{broken",
        "003.png": strip(3),
        "003.cls": b"walk",
        "003.json": b'{"group": "video 4"}',
    }
    for store in (in_tar, in_zip):
        clips = open_source(store(files, tmp_path)).clips
        assert [clip.label for clip in clips] == ["7", "jump", None, "walk"]
        assert [clip.group for clip in clips] == [None, "4", None, "video 4"]


def test_links_and_odd_members_of_archives_are_skipped(tmp_path):
    path = in_tar({"a.png": strip(), "x/../../../b.png": strip(1), "/c.png": strip(2)}, tmp_path)
    with tarfile.open(path, "a") as archive:
        for name, kind in (
            ("link.png", tarfile.SYMTYPE),
            ("hard.png", tarfile.LNKTYPE),
            ("pipe.png", tarfile.FIFOTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    source = open_source(path)
    assert [clip.id for clip in source.clips] == ["a.png", "c.png", "x/b.png"]
    assert sorted(skipped.reason for skipped in source.skipped) == [
        "a link inside an archive",
        "a link inside an archive",
        "not a plain file inside the archive",
    ]
    assert not (tmp_path / "b.png").exists()

    with zipfile.ZipFile(tmp_path / "l.zip", "w") as archive:
        archive.writestr("a.png", strip())
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("m.png", strip(), zipfile.ZIP_LZMA)
        archive.writestr("nested.zip", b"PK")
    source = open_source(tmp_path / "l.zip")
    assert [clip.id for clip in source.clips] == ["a.png"]
    reasons = " ".join(skipped.reason for skipped in source.skipped)
    assert "a link inside" in reasons
    assert "other than deflate" in reasons
    assert "an archive inside an archive" in reasons


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_twice_the_same_member_counts_once(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.png", strip())
        archive.writestr("a.png", strip(1))
    source = open_source(tmp_path / "a.zip")
    assert len(source.clips) == 1
    assert source.skipped[0].reason == "a second member of the same name"


def test_archive_limits(tmp_path, monkeypatch):
    path = in_zip({"a.png": strip(), "b.npy": npy() + bytes(10**7), "c.png": strip(1)}, tmp_path)
    monkeypatch.setattr(listing, "RATIO_FREE_BYTES", 10_000)
    assert "times its stored size" in open_source(path).skipped[0].reason
    monkeypatch.setattr(listing, "MAX_UNPACKED_BYTES", 100_000)
    assert "unpacks to more than 100000 bytes" in open_source(path).skipped[0].reason
    monkeypatch.setattr(listing, "MAX_MEMBERS", 1)
    assert "more than 1 members" in open_source(path).skipped[0].reason


def test_a_zip_that_lies_about_its_size_is_bad(tmp_path):
    path = Path(in_zip({"x.txt": b"", "a.png": strip()}, tmp_path))  # the second is deflated
    data = path.read_bytes()
    true_size, less = len(strip()).to_bytes(4, "little"), (len(strip()) - 50).to_bytes(4, "little")
    path.write_bytes(data.replace(true_size, less))
    with pytest.raises(BadClip):
        open_source(path, layout="strips").clips[0].read([0])


def test_a_flipped_bit_in_a_deflated_member_is_found(tmp_path):
    noise = np.random.default_rng(0).integers(0, 4, (1, 4, 64, 64, 3), dtype=np.uint8)
    np.savez_compressed(tmp_path / "a.npz", clips=noise)
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "a.npz").write_bytes(bytes(data))
    clip = open_source(tmp_path / "a.npz").clips[0]
    with pytest.raises(BadClip):
        clip.read(range(4))


def test_damaged_archives_keep_what_is_whole(tmp_path):
    path = Path(in_tar({f"{number}.npy": npy() for number in range(6)}, tmp_path))
    data = path.read_bytes()
    path.write_bytes(data[: len(npy()) * 3])
    source = open_source(path)
    assert 1 <= len(source.clips) < 6
    assert source.skipped
    path.write_bytes(b"nonsense" * 1000)
    with pytest.raises(VgbenchError, match="not a readable archive"):
        open_source(path)


def tar_header(name: str, size: int) -> bytes:
    """A tar header whose size is stored in base 256, which alone can be negative (GNU tar manual)."""
    header = bytearray(tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT))
    header[124:136] = (size % 2**96).to_bytes(12, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def test_a_tar_member_of_negative_size_ends_the_listing(tmp_path):
    path = Path(in_tar({"a.npy": npy()}, tmp_path))
    whole = path.read_bytes()[: 512 + 512 * math.ceil(len(npy()) / 512)]
    path.write_bytes(whole + tar_header("b.npy", -512) + bytes(1024))
    source = open_source(path)
    assert [clip.id for clip in source.clips] == ["a.npy#000000"]
    assert [skipped.reason for skipped in source.skipped] == [
        "damaged after member 1: a member of negative size"
    ]


def test_an_archive_of_nothing_but_links_names_a_few(tmp_path, monkeypatch):
    monkeypatch.setattr(listing, "MAX_SKIPPED", 2)
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("a.npy")
        info.size = len(npy())
        archive.addfile(info, io.BytesIO(npy()))
        for number in range(5):
            link = tarfile.TarInfo(f"link{number}.npy")
            link.type = tarfile.SYMTYPE
            archive.addfile(link)
    source = open_source(tmp_path / "a.tar")
    assert len(source.clips) == 1
    assert [skipped.reason for skipped in source.skipped] == [
        "a link inside an archive",
        "a link inside an archive",
        "3 more members that cannot be used",
    ]


def test_names_and_labels_that_utf8_cannot_encode_are_spelled_out(tmp_path):
    name = os.fsdecode(b"n\xff.png")
    label = '{"label": "\\ud800"}'
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        for member, data in ((name, strip()), ("b.png", strip()), ("b.json", label.encode())):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    np.savez(tmp_path / "c.npz", clips=CLIP[None], labels=np.array(["\ud800"]))
    write_clips([CLIP], tmp_path, "mkv", names=["d"])
    source = open_source(tmp_path)
    found = {clip.id: clip.label for clip in source.clips}
    assert found["a.tar/n\\udcff.png"] is None
    assert found["a.tar/b.png"] == found["c.npz#000000"] == "\\ud800"
    (tmp_path / "m.jsonl").write_text('{"path": "d.mkv", "label": "\\ud800"}')
    (clip,) = open_source(tmp_path / "m.jsonl").clips
    assert (clip.id, clip.label) == ("d.mkv", "\\ud800")
    (clip,) = open_source([(CLIP, "\ud800")]).clips
    assert clip.label == "\\ud800"


def test_a_label_compressed_by_another_method_costs_no_clip(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.png", strip())
        archive.writestr("a.cls", b"run", zipfile.ZIP_LZMA)
        place = archive.getinfo("a.cls").header_offset + 30 + len("a.cls")
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[place + 4 : place + 12] = bytes([0xFF]) * 8  # its properties: no decoder takes them
    (tmp_path / "a.zip").write_bytes(data)
    source = open_source(tmp_path / "a.zip")
    assert [clip.id for clip in source.clips] == ["a.png"]
    assert [skipped.reason for skipped in source.skipped] == ["compressed by a method other than deflate"]


def test_compressed_tars_say_what_to_do(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(b"x"))
    with pytest.raises(VgbenchError, match="random access"):
        open_source(tmp_path / "a.tar.gz")


def test_deflated_members_can_be_read_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.setattr("vgbench.clips.files.CHECKPOINT_BYTES", 2**20)
    text = np.random.default_rng(0).integers(0, 8, 4 * 2**20 + 9, dtype=np.uint8).tobytes()
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.bin", text)
        info = archive.getinfo("a.bin")
    file = LocalFile(str(tmp_path), "a.zip", (tmp_path / "a.zip").stat().st_size)
    member = DeflatedMember(file, "a.bin", info.header_offset, info.compress_size, info.file_size, info.CRC)
    places = random.Random(0).sample(range(len(text) - 5000), 20)
    with member.open() as stream:
        for place in places:
            stream.seek(place)
            assert stream.read(5000) == text[place : place + 5000]
    assert len(_checkpoints(member)) == 4
    with member.open() as stream:  # a second reader profits from the first one's checkpoints
        assert stream.seek(-7, 2) == len(text) - 7
        assert stream.read() == text[-7:]
    assert member.sha256() == __import__("hashlib").sha256(text).hexdigest()


def test_symlink_loops_end_and_real_folders_win(tmp_path):
    in_folder({"z/a.png": strip(), "b.png": strip(1)}, tmp_path)
    data = tmp_path / "data"
    (data / "a-link").symlink_to(data / "z", target_is_directory=True)
    (data / "z" / "up").symlink_to(data, target_is_directory=True)
    (data / "linked.png").symlink_to(data / "b.png")
    (data / "dangling.png").symlink_to(tmp_path / "nowhere")
    source = open_source(data)
    assert [clip.id for clip in source.clips] == ["b.png", "linked.png", "z/a.png"]
    assert [skipped.reason for skipped in source.skipped] == ["broken link"]
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "c.png").write_bytes(strip(2))
    (data / "more").symlink_to(outside, target_is_directory=True)
    assert "more/c.png" in [clip.id for clip in open_source(data).clips]


def test_nothing_that_looks_like_a_clip(tmp_path):
    with pytest.raises(VgbenchError, match=r"nothing here looks like a clip \(0 files\)"):
        open_source(tmp_path)
    (tmp_path / "readme.txt").write_text("hello")
    with pytest.raises(VgbenchError, match=r"1 file left out: 1 .txt") as caught:
        open_source(tmp_path)
    assert ".webm" in (caught.value.remedy or "")
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(VgbenchError, match=r"a\.mp4: zero bytes"):
        open_source(tmp_path)


def test_urls_that_cannot_be_opened():
    with pytest.raises(VgbenchError, match="gopher://x"):
        open_source("gopher://x/y")
    with pytest.raises(VgbenchError, match="memory://nowhere"):
        open_source("memory://nowhere/at/all")
    for needs_more in ("reference://x", "dir://x"):
        with pytest.raises(VgbenchError, match=needs_more):
            open_source(needs_more)
    with pytest.raises(VgbenchError, match="chain") as caught:
        open_source("zip://a::memory://b.zip")
    assert caught.value.remedy


def test_a_protocol_without_its_package_says_what_to_install(monkeypatch):
    def missing(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(VgbenchError, match="Install s3fs") as caught:
        open_source("s3://bucket/clips")
    assert "install" in (caught.value.remedy or "")


def test_a_file_url_and_a_server_that_hides_sizes(tmp_path, monkeypatch):
    folder = in_folder({"run/a.png": strip()}, tmp_path)
    (clip,) = open_source(f"file://{folder}").clips
    assert (clip.id, clip.label, clip.count_frames()) == ("run/a.png", "run", 5)
    local = type(fsspec.filesystem("file"))
    monkeypatch.setattr(local, "info", lambda self, path, **_: {"name": path, "type": "file", "size": None})
    assert open_source(f"file://{folder}/run/a.png").clips[0].count_frames() == 5


def test_what_a_server_raises_makes_a_bad_clip_and_not_a_crash(monkeypatch):
    fs = fsspec.filesystem("memory")
    fs.pipe("/failing/a.png", strip())
    (clip,) = open_source("memory://failing", layout="strips").clips

    def fail(*_: object, **__: object) -> bytes:
        raise RuntimeError("503 slow down")

    monkeypatch.setattr(type(fs), "cat_file", fail)
    with pytest.raises(BadClip, match=r"memory://failing/a\.png: RuntimeError: 503 slow down"):
        clip.count_frames()


def test_a_changed_remote_file_is_not_taken_for_its_old_self():
    fs = fsspec.filesystem("memory")
    fs.pipe("/changing/a.png", strip())
    before = open_source("memory://changing").clips[0].fingerprint()
    fs.pipe("/changing/a.png", strip(1))
    assert open_source("memory://changing").clips[0].fingerprint() != before


def test_a_caching_file_system_may_come_first(tmp_path):
    url = in_memory(in_folder({"a.png": strip()}, tmp_path))
    (clip,) = open_source(f"simplecache::{url}").clips
    assert clip.id == "a.png"
    assert clip.count_frames() == 5


def test_subset_keeps_the_source_s_name():
    source = open_source([(CLIP, "a"), (CLIP, "b"), (CLIP, "a")])
    chosen = subset(source, lambda clip: clip.label == "a")
    assert isinstance(chosen, ClipSource)
    assert chosen.name == source.name
    assert [clip.id for clip in chosen.clips] == ["#000000", "#000002"]


def test_unknown_layout(tmp_path):
    with pytest.raises(VgbenchError, match="stripes"):
        open_source(tmp_path, layout="stripes")


def manifest(tmp_path: Path, text: str, name: str = "m.csv") -> Path:
    write_clips([CLIP], tmp_path / "clips", "mkv", names=["a"])
    write_clips([CLIP], tmp_path / "clips", "frames", names=["b"])
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("remote", [False, True])
def test_a_manifest_names_clips_windows_and_labels(remote, tmp_path):
    lines = ["clips/a.mkv,,,run,8", "clips/a.mkv,1,3,run,", "clips/b,2,,walk,25", "clips/no.mkv,,,,"]
    text = "\n".join(["path,start,frames,label,fps", *lines])
    path = str(manifest(tmp_path, text))
    if remote:
        path = f"{in_memory(str(tmp_path))}/m.csv"
    source = open_source(path)
    assert [(clip.id, clip.label) for clip in source.clips] == [
        ("clips/a.mkv", "run"),
        ("clips/a.mkv@1+3", "run"),
        ("clips/b@2", "walk"),
    ]
    whole, window, rest = source.clips
    assert [clip.count_frames() for clip in source.clips] == [5, 3, 3]
    np.testing.assert_array_equal(window.read([0, 2]), CLIP[[1, 3]])
    np.testing.assert_array_equal(rest.read([2]), CLIP[[4]])
    assert window.fingerprint() != whole.fingerprint()  # frame 0 of one is not frame 0 of the other
    with pytest.raises(BadClip):
        window.read([3])
    assert len(source.skipped) == 1
    assert "no.mkv" in source.skipped[0].path


def test_a_manifest_names_groups(tmp_path):
    lines = ["clips/a.mkv,,,a_1", "clips/a.mkv,1,3,a_1", "clips/b,2,,", "clips/b,,3,"]
    source = open_source(manifest(tmp_path, "\n".join(["path,start,frames,group", *lines])))
    assert [(clip.group, clip.recording) for clip in source.clips] == [
        ("a_1", "a_1"),
        ("a_1", "a_1"),
        (None, "clips/b"),
        (None, "clips/b"),
    ]
    noisy = open_source(f"distort:noise=0.5:{source.name}")
    assert [clip.group for clip in noisy.clips] == [clip.group for clip in source.clips]
    faster = open_source(f"distort:speed-up=0.5:{source.name}")
    assert [clip.recording for clip in faster.clips] == [clip.recording for clip in source.clips]
    numbered = manifest(tmp_path, '{"path": "clips/a.mkv", "group": 12}\n', "g.jsonl")
    assert open_source(numbered).clips[0].group == "12"
    with pytest.raises(ConfigError, match="group"):
        open_source(manifest(tmp_path, '{"path": "clips/a.mkv", "group": ""}\n', "h.jsonl"))


def test_a_line_that_cannot_be_used_costs_no_other_line(tmp_path):
    lines = ["x" * 300, "reference://x", "dir://x", "m.csv", "clips/a.mkv"]
    source = open_source(manifest(tmp_path, "\n".join(["path", *lines])))
    assert [clip.id for clip in source.clips] == ["clips/a.mkv"]
    reasons = [skipped.reason for skipped in source.skipped]
    assert "name too long" in reasons[0]
    assert ["cannot be opened" in reason for reason in reasons[1:3]] == [True, True]
    assert reasons[3] == "a manifest inside a manifest"


def test_a_window_past_the_end_is_bad(tmp_path):
    path = manifest(tmp_path, '{"path": "clips/a.mkv", "start": 3, "frames": 3, "label": 4}\n', "m.jsonl")
    (clip,) = open_source(path).clips
    assert clip.label == "4"
    with pytest.raises(BadClip, match=r"the window ends after the last frame \(the clip has 5\)"):
        clip.count_frames()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.csv", "path,strat\na.mkv,3\n", "unknown key 'strat'"),
        ("m.csv", "path,start\na.mkv,-1\n", r"line 2: 'start' = '-1'"),
        ("m.csv", "path\na.mkv,3\n", "unknown key"),
        ("m.csv", "start\n3\n", "'path' is missing"),
        ("m.csv", "path\na.mkv\na.mkv\n", "named twice"),
        ("m.csv", "path\n", "names no clip"),
        ("m.jsonl", "[1]\n", "must be an object"),
        ("m.jsonl", "{\n", "line 1: not JSON"),
    ],
)
def test_manifest_errors_name_the_line(name, text, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        open_source(manifest(tmp_path, text, name))


@pytest.mark.parametrize(
    "system",
    ["@eaDir", "$RECYCLE.BIN", "$Recycle.Bin", "#recycle", "#snapshot", "lost+found", "@Recycle", "__MACOSX"],
)
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_folders_of_the_system_hold_no_clips(tmp_path: Path, system: str, kind: str) -> None:
    frames = np.zeros((2, 4, 4, 3), np.uint8)
    root = tmp_path / "data"
    for folder in ("a", f"{system}/b", f"a/{system}"):
        (root / folder).mkdir(parents=True, exist_ok=True)
        np.save(root / folder / "clip.npy", frames)
    if kind == "zip":
        shutil.make_archive(str(root), "zip", root)
    source = open_source(root if kind == "folder" else root.with_suffix(".zip"))
    assert [(clip.id, clip.label) for clip in source.clips] == [("a/clip.npy", "a")]
    assert not source.skipped
