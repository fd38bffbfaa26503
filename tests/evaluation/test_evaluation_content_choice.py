"""Equal pixels give equal windows, scores and signatures, whatever the names, containers and ranks are."""

from __future__ import annotations

import itertools
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from stub_extractor import StubExtractor

import vgbench
from vgbench.clips import ClipSource, open_source
from vgbench.clips.distortions import distort
from vgbench.clips.rates import every_nth_frame
from vgbench.clips.video import VideoClip
from vgbench.distributed import World
from vgbench.evaluation.content_seeds import Seed, content_seeds
from vgbench.evaluation.execution import Execution
from vgbench.evaluation.feature_store import FeatureStore
from vgbench.evaluation.ranks import SharedSource
from vgbench.protocol import Windows
from vgbench.protocol.sampler import window_starts

RNG = np.random.default_rng(0)
FAKE, REAL = RNG.integers(0, 256, (2, 9, 21, 16, 16, 3), dtype=np.uint8)
"""Nine clips of 21 frames: two windows of eight frames fit into each, and seven clips are wanted."""
SETTINGS = [
    "clips.generated=12",
    "clips.real=12",
    "clips.least=4",
    "windows.frames=8",
    "windows.per_clip=2",
    "resize.size=16",
]


def strips(clips, folder: Path) -> Path:
    for number, clip in enumerate(clips):
        Image.fromarray(np.concatenate(list(clip), axis=1)).save(folder / f"{number}.png")
    return folder


def frame_folders(clips, folder: Path) -> Path:
    for number, clip in enumerate(clips):
        (folder / f"x{number}").mkdir()
        for time, frame in enumerate(clip):
            Image.fromarray(frame).save(folder / f"x{number}" / f"{time}.png")
    return folder


def matroska(clips, folder: Path, codec="ffv1", pixels="bgr0", suffix="mkv") -> Path:
    for number, clip in enumerate(clips):
        with av.open(folder / f"film {number}.{suffix}", "w") as out:
            stream = out.add_stream(codec, rate=8)
            stream.width, stream.height, stream.pix_fmt = 16, 16, pixels
            for frame in clip:
                out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            out.mux(stream.encode())
    return folder


def one_array(clips, folder: Path) -> Path:
    np.savez(folder / "clips.npz", clips=clips)
    return folder / "clips.npz"


def zipped_arrays(clips, folder: Path) -> Path:
    with zipfile.ZipFile(folder / "clips.zip", "w") as archive:
        for number, clip in enumerate(clips):
            with archive.open(f"class{number % 2}/{number}.npy", "w") as member:
                np.lib.format.write_array(member, clip)
    return folder / "clips.zip"


def lossless_webp(clips, folder: Path) -> Path:
    for number, clip in enumerate(clips):
        first, *rest = map(Image.fromarray, clip)
        first.save(folder / f"{number}.webp", save_all=True, append_images=rest, lossless=True, duration=100)
    return folder


def in_memory(clips, folder: Path) -> np.ndarray:
    return clips


CONTAINERS = (in_memory, strips, frame_folders, matroska, one_array, zipped_arrays, lossless_webp)


def score(generated, real, store, *settings):
    return vgbench.evaluate(
        generated,
        real,
        metrics=["fvd", "temporal_flicker"],
        extractor=StubExtractor(),
        settings=[*SETTINGS, *settings],
        store=store,
    )


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return score(FAKE, REAL, FeatureStore(tmp_path_factory.mktemp("expected")))


@pytest.mark.parametrize("write", CONTAINERS[1:], ids=lambda write: write.__name__)
def test_lossless_containers_names_and_order_change_nothing(write: Callable, expected, tmp_path):
    folders = [tmp_path / "generated", tmp_path / "real"]
    for folder in folders:
        folder.mkdir()
    order = np.random.default_rng(1).permutation(len(FAKE))
    generated, real = write(FAKE[order], folders[0]), write(REAL[order[::-1]], folders[1])
    found = score(generated, real, FeatureStore(tmp_path / "store"))
    assert found.signature == expected.signature
    assert "start:uniform,seed0,content" in found.signature
    assert found.scores == expected.scores
    assert [one.sha256 for one in found.clips.real.windows] == [
        one.sha256 for one in expected.clips.real.windows
    ]
    again = score(generated, real, FeatureStore(tmp_path / "store"))
    assert (again.signature, again.scores) == (found.signature, found.scores)


def test_what_is_drawn_by_name_depends_on_names(tmp_path):
    """The older rule, which earlier versions of the protocols keep."""
    (tmp_path / "strips").mkdir()
    store = FeatureStore(tmp_path / "store")
    other = strips(FAKE, tmp_path / "strips")
    by_name = [score(fake, REAL, store, "windows.seeded_by=name") for fake in (FAKE, other)]
    assert by_name[0].signature == by_name[1].signature
    assert by_name[0].scores != by_name[1].scores


def test_other_pixels_are_other_real_clips(expected, tmp_path):
    changed = REAL.copy()
    changed[:, :, 0, 0, 0] ^= 1
    found = score(FAKE, changed, FeatureStore(tmp_path))
    assert found.signature != expected.signature


def seeds_of(source, folder, **options):
    shared = SharedSource(open_source(source))
    how = Execution.of({"store": FeatureStore(folder), **options})
    return content_seeds(shared, how, World(), "generated")


def test_clips_that_begin_alike_are_told_apart_and_copies_are_not(tmp_path):
    clips = RNG.integers(0, 256, (4, 6, 8, 8, 3), dtype=np.uint8)
    clips[:3, 0] = 0  # three begin in black
    clips[1] = clips[0]
    texts = [seed.text for seed in seeds_of(clips, tmp_path).values()]
    assert texts[0] == texts[1]
    assert len(set(texts)) == 3
    alone = [seed.text for seed in seeds_of(clips[2:], tmp_path).values()]
    assert alone[1] == texts[3], "a clip that begins like no other is known by its first frame"


def test_a_known_clip_is_not_opened_again(tmp_path, monkeypatch):
    (tmp_path / "films").mkdir()
    films = matroska(FAKE, tmp_path / "films")
    first = seeds_of(films, tmp_path / "store")

    def fail(*_):
        raise AssertionError("opened again")

    monkeypatch.setattr(VideoClip, "first_frame_hash", fail)
    assert seeds_of(films, tmp_path / "store") == first
    (films / "film 0.mkv").touch()
    with pytest.raises(AssertionError, match="opened again"):
        seeds_of(films, tmp_path / "store")


def test_workers_change_no_seed(tmp_path):
    (tmp_path / "films").mkdir()
    films = matroska(FAKE, tmp_path / "films")
    assert seeds_of(films, tmp_path / "a", workers=2) == seeds_of(films, tmp_path / "b")


def test_a_lossy_clip_is_known_by_its_coded_bytes_in_every_container(tmp_path):
    texts = []
    for suffix in ("mp4", "mkv"):
        (tmp_path / suffix).mkdir()
        films = matroska(FAKE[:3], tmp_path / suffix, "mpeg4", "yuv420p", suffix)
        seeds = seeds_of(films, tmp_path / "store")
        assert not any(seed.lossless for seed in seeds.values())
        texts.append({seed.text for seed in seeds.values()})
    assert texts[0] == texts[1]
    assert len(texts[0]) == 3
    record = score(tmp_path / "mp4", REAL, FeatureStore(tmp_path / "store"))
    clip = open_source(tmp_path / "mp4").clips[0]
    assert clip.fingerprint() in {window.sha256 for window in record.clips.generated.windows}


def test_a_clip_whose_first_frame_is_damaged_is_skipped_and_named(tmp_path):
    (tmp_path / "strips").mkdir()
    strips(FAKE, tmp_path / "strips")
    (tmp_path / "strips" / "4.png").write_bytes(b"no image")
    seeds = seeds_of(tmp_path / "strips", tmp_path / "store")
    assert [position for position, seed in seeds.items() if not isinstance(seed, Seed)] == [4]
    record = score(tmp_path / "strips", REAL, FeatureStore(tmp_path / "store"))
    assert [entry.path for entry in record.clips.generated.skipped] == ["4.png"]
    same = score(np.delete(FAKE, 4, axis=0), REAL, FeatureStore(tmp_path / "other"))
    assert record.scores == same.scores, "the others are chosen as if it were not there"


def starts(n_frames: int, frames: int, per_clip: int, text: str) -> list[int]:
    windows = Windows(frames=frames, per_clip=per_clip, seeded_by="content")
    return window_starts(n_frames, windows, "uniform", 0, text)


@given(st.integers(1, 60), st.integers(2, 9), st.integers(1, 5), st.text(max_size=4))
def test_as_many_windows_as_fit_without_overlap(n_frames, frames, per_clip, text):
    found = starts(n_frames, frames, per_clip, text)
    assert len(found) == min(per_clip, n_frames // frames), "whatever the draw is"
    taken = [time for start in found for time in range(start, start + frames)]
    assert len(set(taken)) == len(taken)
    assert all(0 <= time < n_frames for time in taken)


def placements(n_frames: int, span: int, count: int) -> list[tuple[int, ...]]:
    """All ways to place the windows, found by trying all."""
    every = itertools.combinations(range(n_frames - span + 1), count)
    return [one for one in every if all(b - a >= span for a, b in itertools.pairwise(one))]


@pytest.mark.parametrize("span", [2, 3, 4])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_first_and_the_last_frame_are_drawn_no_more_often_than_others(span, count):
    for n_frames in range(span * count, span * count + 12):
        covered = Counter(
            time
            for way in placements(n_frames, span, count)
            for start in way
            for time in range(start, start + span)
        )
        assert covered[0] == covered[n_frames - 1] == min(covered[time] for time in range(n_frames))


def test_every_placement_is_equally_likely():
    ways = Counter(tuple(sorted(starts(11, 3, 2, str(number)))) for number in range(8400))
    assert set(ways) == set(placements(11, 3, 2))
    expected = 8400 / len(ways)
    chi_square = sum((count - expected) ** 2 / expected for count in ways.values())
    assert chi_square < 2 * len(ways), f"{len(ways)} ways"
    first = Counter(starts(11, 3, 2, str(number))[0] for number in range(8400))
    assert first[0] < 2 * first[8], "the order of use is drawn as well"
    assert first[8] < 2 * first[0]


def two_readings(how: str, folder: Path) -> tuple[ClipSource, ClipSource]:
    """The same files, read as different clips of the same names."""
    if how == "range":
        np.save(folder / "clips.npy", RNG.random((4, 12, 8, 8, 3), dtype=np.float32))
        low, high = (open_source(folder / "clips.npy", value_range=r) for r in ((0, 1), (-1, 1)))
        return low, high
    clips = RNG.integers(0, 256, (4, 12, 8, 8, 3), dtype=np.uint8)
    clips[:, 0] = 0  # so that all their frames count
    source = open_source(strips(clips, folder))
    if how == "stride":
        return source, every_nth_frame(source, 2)
    return source, distort(source, how, 1.0)


@pytest.mark.parametrize("how", ["range", "stride", "noise", "speed-up"])
def test_seeds_kept_for_one_reading_of_a_file_do_not_serve_another(how, tmp_path):
    (tmp_path / "clips").mkdir()
    readings = two_readings(how, tmp_path / "clips")
    expected = [seeds_of(one, tmp_path / f"fresh{k}") for k, one in enumerate(readings)]
    assert [seeds_of(one, tmp_path / "shared") for one in readings] == expected
    assert [seeds_of(one, tmp_path / "turned") for one in readings[::-1]] == expected[::-1]
    assert (expected[0] == expected[1]) == (how == "noise"), "damage to frames moves no window"


def test_clips_that_begin_alike_are_not_decoded_again(tmp_path, monkeypatch):
    clips = FAKE.copy()
    clips[:, 0] = 0
    (tmp_path / "films").mkdir()
    films = matroska(clips, tmp_path / "films")
    first = seeds_of(films, tmp_path / "store")

    def fail(*_):
        raise AssertionError("decoded again")

    monkeypatch.setattr(VideoClip, "content_hash", fail)
    assert seeds_of(films, tmp_path / "store") == first


def test_where_a_clip_is_damaged_does_not_change_which_windows_are_taken(tmp_path):
    """With "all", the windows that a damaged clip does not give are taken from others."""
    taken = []
    for name, frame in (("begin", 0), ("end", 20)):
        (tmp_path / name).mkdir()
        folder = frame_folders(FAKE, tmp_path / name)
        (folder / "x4" / f"{frame}.png").write_bytes(b"no image")
        record = score(REAL, folder, FeatureStore(tmp_path / f"{name} store"), "clips.real=all")
        taken.append([window.sha256 for window in record.clips.real.windows])
    assert taken[0] == taken[1]
    assert len(taken[0]) == len(FAKE)
