"""What may arrive from a stranger, as functions of bytes: each returns, or raises an error of vgbench's own.

`TARGETS` maps a name to (seeds, read). `scripts/fuzz.py` drives them by coverage, `test_fuzz_readers.py` by
chance, and what they found is kept in `found/NAME/` and read again by the suite.
"""

from __future__ import annotations

import functools
import io
import json
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import PIL.Image
import safetensors
import safetensors.torch
import torch
from small_record import small_record
from stub_extractor import StubExtractor

from vgbench import protocol
from vgbench.clips.arrays import stored_array_clips
from vgbench.clips.clip import Clip
from vgbench.clips.dataset_labels import read_dataset_labels
from vgbench.clips.files import StoredFile
from vgbench.clips.images import AnimationClip, StripClip, image_kind
from vgbench.clips.listing import list_archive
from vgbench.clips.manifest import read_manifest
from vgbench.clips.series import in_order_of_names, read_as_one, read_as_series, read_names
from vgbench.clips.stacks import StackClip
from vgbench.config import with_overrides
from vgbench.errors import BadClip, VgbenchError
from vgbench.evaluation.choices import measures_for
from vgbench.evaluation.measured import Measured, Measures, UsedWindow
from vgbench.evaluation.statistics_file import load_statistics, save_statistics
from vgbench.leaderboard.submission import read_submission
from vgbench.metrics import parse_list
from vgbench.metrics.score import Samples
from vgbench.presets import preset_path
from vgbench.protocol.sampler import Window
from vgbench.records.record import load_record
from vgbench.reference_models import build
from vgbench.reference_models.checkpoint import load_generator, save_generator
from vgbench.training.config_files import read_config

FOUND = Path(__file__).parent / "found"
CLIP = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), dtype=np.uint8)


class BytesFile(StoredFile):
    """A stored file that lies in memory."""

    name = ""

    def __init__(self, name: str, data: bytes) -> None:
        self.name, self.data, self.size = name, data, len(data)

    def open(self) -> BinaryIO:
        return io.BytesIO(self.data)

    def stamp(self) -> str:
        return str(hash(self.data))


def survive(data: bytes, target: str) -> None:
    """Read `data` as `target`; passes over vgbench's own errors, lets every other one out."""
    try:
        TARGETS[target][1](data)
    except (VgbenchError, BadClip) as error:
        assert str(error).strip(), "an error without a word"


def read_strip(data: bytes) -> None:
    file = BytesFile("a.png", data)
    clips: list[Clip] = [kind("a", None, file) for kind in (StripClip, AnimationClip, StackClip)]
    if image_kind(file) == "animation":
        clips.reverse()
    for clip in clips:
        _use(clip)


def read_npz(data: bytes) -> None:
    for suffix in ("npz", "npy"):
        try:
            clips = stored_array_clips(f"a.{suffix}", BytesFile(f"a.{suffix}", data), None, None)
        except BadClip:
            continue
        for clip in clips[:3]:
            _use(clip)


def read_pt(data: bytes) -> None:
    clips = stored_array_clips("a.pt", BytesFile("a.pt", data), None, (0, 1))
    for clip in clips[:3]:
        _use(clip)


def read_safetensors(data: bytes) -> None:
    clips = stored_array_clips("a.safetensors", BytesFile("a.safetensors", data), None, (0, 1))
    for clip in clips[:3]:
        _use(clip)


def read_labels(data: bytes) -> None:
    labels = read_dataset_labels(BytesFile("dataset.json", data))
    assert all(isinstance(text, str) for entry in labels.items() for text in entry)


def read_manifest_text(data: bytes) -> None:
    for suffix in ("csv", "tsv", "jsonl", "txt"):
        try:
            read_manifest(BytesFile(f"m.{suffix}", data))
        except VgbenchError as error:
            assert f"m.{suffix}" in error.message


def read_record(data: bytes) -> None:
    load_record(_on_disk(data, ".json")).to_json().encode()


def read_configs(data: bytes) -> None:
    path = str(_on_disk(data, ".yaml"))
    for read in (read_config, protocol.load):
        try:
            read(path)
        except VgbenchError as error:
            assert ".yaml" in error.message
    setting = data[:200].decode("utf-8", "replace")
    with_overrides({"clips": {"real": 1}, "list": [1]}, [f"clips.real={setting}", setting])


def read_archive(data: bytes) -> None:
    for suffix in ("zip", "tar"):
        try:
            entries, _ = list_archive(BytesFile(f"a.{suffix}", data))
        except BadClip:
            continue
        for entry in entries[:20]:
            assert ".." not in entry.path.split("/")
            assert not entry.path.startswith("/")
            try:
                with entry.file.open() as stream:
                    stream.read(4096)
                entry.file.read_range(1, 8)
            except (OSError, EOFError, ValueError):  # what `bad_clip_on_error` turns into a skipped clip
                pass
            except Exception as error:
                from vgbench.clips.files import DAMAGE

                if not isinstance(error, DAMAGE):
                    raise
    read_submission(_on_disk(data, ".zip"))


def read_statistics(data: bytes) -> None:
    measured = load_statistics(_on_disk(data, ".safetensors"), *_plan_and_measures())
    for samples in measured.samples.values():
        assert len(measured.windows) == len(measured.groups) == len(samples.features)
        assert np.isfinite(samples.features).all()


def read_generator(data: bytes) -> None:
    load_generator(_on_disk(data, ".safetensors"))


def _use(clip: Clip) -> None:
    try:
        last = clip.count_frames() - 1
        frames = clip.read(sorted({0, last}))
        assert frames.dtype == np.uint8
        assert frames.ndim == 4
        assert frames.shape[3] == 3
        assert len(clip.fingerprint()) == 64
    except BadClip as bad:
        assert bad.reason
        assert "\n" not in bad.reason


_FOLDER = tempfile.TemporaryDirectory(prefix="vgbench-fuzz-")


def _on_disk(data: bytes, suffix: str) -> Path:
    path = Path(_FOLDER.name) / f"a{suffix}"
    path.write_bytes(data)
    return path


def strip_seeds() -> list[bytes]:
    seeds = []
    still = PIL.Image.fromarray(np.concatenate(list(CLIP), axis=1))
    for kind in ("PNG", "JPEG", "BMP", "PPM", "TIFF", "WEBP"):
        still.save(stream := io.BytesIO(), kind)
        seeds.append(stream.getvalue())
    first, *rest = [PIL.Image.fromarray(pixels) for pixels in CLIP]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        first.save(stream := io.BytesIO(), kind, save_all=True, append_images=rest, duration=40)
        seeds.append(stream.getvalue())
    first.save(stream := io.BytesIO(), "TIFF", save_all=True, append_images=rest, big_tiff=True)
    return [*seeds, stream.getvalue()]


def npz_seeds() -> list[bytes]:
    seeds = []
    for save, arrays in (
        (np.savez, {"clips": CLIP[None], "labels": np.array(["run"])}),
        (np.savez_compressed, {"clips": CLIP}),
    ):
        save(stream := io.BytesIO(), **arrays)
        seeds.append(stream.getvalue())
    np.save(stream := io.BytesIO(), CLIP)
    return [*seeds, stream.getvalue()]


def pt_seeds() -> list[bytes]:
    seeds = []
    clip = torch.from_numpy(CLIP)
    labelled = {"clips": clip[None].float() / 255, "labels": torch.tensor([1])}
    for content, zipped in ((clip, True), (clip, False), (labelled, True)):
        torch.save(content, stream := io.BytesIO(), _use_new_zipfile_serialization=zipped)
        seeds.append(stream.getvalue())
    return seeds


def safetensors_seeds() -> list[bytes]:
    clip = torch.from_numpy(CLIP)
    labelled = {"clips": clip[None], "labels": torch.tensor([1])}
    return [safetensors.torch.save({"x": clip.bfloat16() / 255}), safetensors.torch.save(labelled)]


def label_seeds() -> list[bytes]:
    return [b'{"labels": [["a/0.png", 3], ["b.mp4", [0, 1]], ["c", null]]}', b'{"labels": {"a": "x"}}']


def manifest_seeds() -> list[bytes]:
    return [
        b"File Name;class;value_range\na.mp4;x;0,1\n",
        b"# clips\na/b.mp4 3\nframes of/c 16 2\n'd e.mp4',1\n",
        b"path,start,frames,label,fps\na.mp4,,,run,8\na.mp4,1,3,run,\n",
        b'{"path": "a.mp4", "start": 3, "frames": 3, "label": 4}\n{"path": "b"}\n',
    ]


def record_seeds() -> list[bytes]:
    return [small_record().to_json().encode(), json.dumps({"schema": 1, "model": "m"}).encode()]


def config_seeds() -> list[bytes]:
    quick = (Path(protocol.__file__).parent / "quick.yaml").read_bytes()
    preset = preset_path("gru-hinge").read_bytes()
    pieces = [b"size: 32\nloss: {name: hinge}\n", b"clips: {real: all}\nmetrics: [fvd]\nseed: 0\n"]
    return [*pieces, b"a: &a {b: [1, 2e-4, .inf, null, 2001-01-01]}\nc: *a\n", quick, preset]


def archive_seeds() -> list[bytes]:
    files = {"run/a.npy": npz_seeds()[2], "b.png": strip_seeds()[0], "b.json": b'{"label": "x"}'}
    seeds = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(stream := io.BytesIO(), "w", method) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        seeds.append(stream.getvalue())
    with tarfile.open(fileobj=(stream := io.BytesIO()), mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, kind, target in (("c.png", tarfile.LNKTYPE, "b.png"), ("d.png", tarfile.SYMTYPE, "c.png")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, target
            archive.addfile(link)
    return [*seeds, stream.getvalue()]


def read_image_names(data: bytes) -> None:
    names = [f"{line}.png" for line in dict.fromkeys(data.decode("latin-1").split("\n"))]
    for read in (read_names, read_as_one, read_as_series, in_order_of_names):
        reading = read(names)
        used = sorted([place for one in reading.series for place in one.members] + [*reading.left_out])
        assert used == ([] if reading.doubt else list(range(len(names))))


def image_name_seeds() -> list[bytes]:
    series = (
        "clip{c}_frame{n:02d}",
        "{c:06d}.{n:03d}",
        "frame-{n}.{c}",
        "{c}.{n}",
        "2024-05-06_12-3{c}-0{n}",
        "t-{n}",
    )
    return ["\n".join(form.format(c=c, n=n) for c in range(3) for n in range(5)).encode() for form in series]


@functools.cache
def _plan_and_measures() -> tuple[protocol.Protocol, Measures]:
    chosen = parse_list(["fvd", "temporal_flicker"])
    plan = protocol.load("quick").model_copy(update={"metrics": tuple(map(str, chosen))})
    return plan, measures_for(chosen, StubExtractor())


def statistics_seeds() -> list[bytes]:
    frames = tuple(range(16))
    windows = tuple(UsedWindow(f"{k}", "run", "0" * 64, Window(k, frames)) for k in range(2))
    groups, values = np.arange(2), np.array([0.5, 1.0])
    samples = Samples(np.ones((2, 3), np.float32), np.ones((2, 2), np.float32), groups)
    flicker = Samples(values[:, None], None, groups)
    both = {"extractor": samples, "temporal_flicker": flicker}
    measured = Measured("a", 2, 2, windows, groups, groups, both, ())
    path = save_statistics(Path(_FOLDER.name) / "seed.safetensors", measured, *_plan_and_measures())
    return _with_and_without_hash(path)


def generator_seeds() -> list[bytes]:
    parts = {"channels": 1, "content_dim": 1, "motion": {"code_dim": 1, "noise_dim": 1}}
    path = Path(_FOLDER.name) / "seed.safetensors"
    save_generator(path, build({"size": 16, "frames": 2, "generator": parts}), details={"steps": 1})
    return _with_and_without_hash(path)


def _with_and_without_hash(path: Path) -> list[bytes]:
    """With the hash in it nothing but the header can be changed unseen."""
    with safetensors.safe_open(path, framework="pt") as file:
        about = {key: value for key, value in file.metadata().items() if key != "sha256"}
    return [path.read_bytes(), safetensors.torch.save(safetensors.torch.load_file(path), about)]


TARGETS: dict[str, tuple[Callable[[], list[bytes]], Callable[[bytes], None]]] = {
    "strip": (strip_seeds, read_strip),
    "image names": (image_name_seeds, read_image_names),
    "npz": (npz_seeds, read_npz),
    "pt": (pt_seeds, read_pt),
    "safetensors": (safetensors_seeds, read_safetensors),
    "labels": (label_seeds, read_labels),
    "manifest": (manifest_seeds, read_manifest_text),
    "record": (record_seeds, read_record),
    "config": (config_seeds, read_configs),
    "archive": (archive_seeds, read_archive),
    "statistics": (statistics_seeds, read_statistics),
    "generator": (generator_seeds, read_generator),
}
