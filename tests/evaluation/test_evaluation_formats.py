"""Sides that differ in frame rate, aspect ratio or size: taken by time, brought to one size, or warned of."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from stub_extractor import StubExtractor

import vgbench
from vgbench.clips import open_source, write_clips
from vgbench.clips.video import VideoClip
from vgbench.errors import NotEnoughClips
from vgbench.evaluation.evaluate import export_statistics
from vgbench.evaluation.feature_store import FeatureStore
from vgbench.evaluation.over_time import evaluate_over_time
from vgbench.evaluation.paired import evaluate_pairs
from vgbench.protocol.pixels import Scaling, resize
from vgbench.records.sample_card import SampleCard, write_card

SETTINGS = ("clips.generated=4", "clips.real=4", "clips.least=2", "windows.frames=6", "resize.size=16")
FORMATS = {"frame-rates", "aspect-ratios", "native-sizes", "repeated-frames", "training-stride"}


def moving(count=4, frames=48, height=16, width=16, first_seed=0):
    """Random images that move 2 pixels a frame, so that no two frames are alike."""
    clips = []
    for seed in range(first_seed, first_seed + count):
        image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        clips.append(
            np.stack([np.roll(image, 2 * shift, axis=1) + np.uint8(2 * shift) for shift in range(frames)])
        )
    return clips


def encode(path, frames, times):
    """Write a video without loss, with frames shown at `times` in 1/24 s."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "bgr0"
        for pixels, time in zip(frames, times, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def score(generated, real, *settings, **options):
    options = {"metrics": ["fvd"], "extractor": StubExtractor(), **options}
    return vgbench.evaluate(generated, real, settings=(*SETTINGS, *settings), **options)


def warned(record):
    return {code: text for code, text in record.warnings if code in FORMATS}


def at_rate(folder, rate, keep=1, form="mkv", **options):
    """Write every `keep`-th frame of clips that move at 24 frames per second."""
    write_clips([clip[::keep] for clip in moving(**options)], folder, form, fps=rate)
    return folder


def frames_of(clip_set):
    return {window.frames for window in clip_set.windows}


def test_one_recording_at_two_rates_gives_the_same_windows_by_time(tmp_path):
    slow, fast = at_rate(tmp_path / "12", 12, keep=2), at_rate(tmp_path / "24", 24)
    by_index = score(slow, fast)
    assert "generated 12 frames per second, real 24" in warned(by_index)["frame-rates"]
    assert "windows.fps=12" in warned(by_index)["frame-rates"]
    by_time = score(slow, fast, "windows.fps=12", "windows.start=first")
    assert not warned(by_time)
    assert frames_of(by_time.clips.generated) == {tuple(range(6))}
    assert frames_of(by_time.clips.real) == {tuple(range(0, 12, 2))}
    assert by_time.scores["fvd"].value == pytest.approx(0, abs=1e-6)
    assert dict(by_time.signature_fields)["fps"] == "12"
    assert "fps" not in dict(by_index.signature_fields)


def test_a_varying_rate_is_followed(tmp_path):
    """The second half of the real clips was recorded at a third of the rate."""
    stamps = [*range(24), *range(24, 48, 3)]
    (tmp_path / "varying").mkdir()
    (tmp_path / "even").mkdir()
    even = [*stamps[:24:3], *stamps[24:]]
    for number, clip in enumerate(moving()):
        encode(tmp_path / "varying" / f"{number}.mkv", clip[stamps], stamps)
        encode(tmp_path / "even" / f"{number}.mkv", clip[even], even)
    by_time = ("windows.fps=8", "windows.frames=16", "windows.start=first")
    record = score(tmp_path / "even", tmp_path / "varying", *by_time)
    assert frames_of(record.clips.generated) == {tuple(range(16))}
    assert frames_of(record.clips.real) == {(*range(0, 24, 3), *range(24, 32))}
    assert record.scores["fvd"].value == pytest.approx(0, abs=1e-6)


def test_windows_are_counted_after_resampling(tmp_path):
    fast = at_rate(tmp_path, 24)
    record = score(moving_at(24), fast, "windows.fps=4", "windows.per_clip=3", "clips.real=12")
    assert record.clips.real.used == 4, "48 frames last 2 seconds: 8 frames at 4 a second"
    with pytest.raises(NotEnoughClips, match="has 8 frames at 4 frames per second, 11 are needed"):
        score(moving_at(24), fast, "windows.fps=4", "windows.stride=2")


def moving_at(fps, **options):
    return open_source(moving(**options), fps=fps)


def test_a_clip_without_a_rate_is_named(tmp_path):
    write_clips(moving(3), tmp_path, "mkv", fps=24)
    write_clips(moving(1), tmp_path, "frames", names=["folder"])
    record = score(moving_at(24), tmp_path, "windows.fps=12", "windows.per_clip=1")
    assert record.clips.real.used == 3
    assert [(one.path, one.reason[:23]) for one in record.clips.real.skipped] == [
        ("folder", "states no frame rate, w")
    ]
    with pytest.raises(NotEnoughClips, match=r"states no frame rate, which windows\.fps needs"):
        score(moving(), tmp_path, "windows.fps=12")


def test_more_moments_than_frames_repeat_frames_and_say_so(tmp_path):
    record = score(at_rate(tmp_path / "6", 6, keep=4), moving_at(12), "windows.fps=12")
    assert set(warned(record)) == {"repeated-frames"}
    assert "generated: frames occur more than once in 4 of 4 windows" in warned(record)["repeated-frames"]


def test_constant_rates_are_found_once_and_varying_ones_each_time(tmp_path, monkeypatch):
    at_rate(tmp_path / "clips", 24, count=3)
    encode(tmp_path / "clips" / "v.mkv", moving(1)[0][:20], [*range(10), *range(30, 40)])
    looked: list[str] = []
    real_times = VideoClip.frame_times
    monkeypatch.setattr(VideoClip, "frame_times", lambda clip: looked.append(clip.id) or real_times(clip))
    store = FeatureStore(tmp_path / "store")
    runs = [score(moving_at(24), tmp_path / "clips", "windows.fps=12", store=store) for _ in range(2)]
    assert sorted(looked) == sorted([f"{number:05d}.mkv" for number in range(3)] + 2 * ["v.mkv"])
    assert runs[0].clips == runs[1].clips
    assert runs[0].scores == runs[1].scores


def test_the_rate_that_is_kept_belongs_to_its_clip(tmp_path):
    store = FeatureStore(tmp_path)
    assert not warned(score(moving(), moving_at(24), store=store))
    for rates, expected in (((24, 24), set()), ((24, 12), {"frame-rates"}), ((12, 12), set())):
        generated, real = (moving_at(rate, first_seed=seed) for rate, seed in zip(rates, (0, 9), strict=True))
        for _ in range(2):
            assert set(warned(score(generated, real, store=store))) == expected


def test_a_stride_that_evens_out_the_rates_is_no_reason_to_warn():
    sides = moving_at(6), moving_at(24, first_seed=9)
    assert set(warned(score(*sides))) == {"frame-rates"}
    assert not warned(score(*sides, "windows.real_stride=4"))
    assert "24 (12 with its stride)" in warned(score(*sides, "windows.real_stride=2"))["frame-rates"]
    assert not warned(score(moving_at(24), moving_at(25, first_seed=9))), "4 % are not worth a warning"


@pytest.mark.parametrize("fps", [None, 12])
def test_statistics_of_a_real_set_know_its_rates_and_sizes(fps, tmp_path):
    chosen = [] if fps is None else [f"windows.fps={fps}"]
    options = {"metrics": ["fvd"], "extractor": StubExtractor()}
    real = at_rate(tmp_path / "real", 24, height=24, width=40, first_seed=9)
    file = export_statistics(real, tmp_path / "r.safetensors", settings=[*SETTINGS, *chosen], **options)
    generated = at_rate(tmp_path / "generated", 12, keep=2, height=8, width=8)
    against_clips, against_file = (score(generated, side, *chosen) for side in (real, file))
    expected = {"aspect-ratios", "native-sizes"} | (set() if fps else {"frame-rates"})
    assert set(warned(against_file)) == expected
    assert warned(against_file) == warned(against_clips)
    assert against_file.scores == against_clips.scores


def test_sizes_and_shapes_count_as_the_protocol_leaves_them(tmp_path):
    store = FeatureStore(tmp_path)

    def codes(ours, theirs, *settings):
        """Twice, because stored windows are not decoded again."""
        sides = (moving(height=h, width=w, first_seed=h) for h, w in (ours, theirs))
        generated, real = map(open_source, sides)
        found = [set(warned(score(generated, real, *settings, store=store))) for _ in range(2)]
        assert found[0] == found[1]
        return found[0]

    assert codes((16, 16), (17, 18)) == set()
    assert codes((8, 8), (16, 16)) == {"native-sizes"}
    assert codes((16, 16), (32, 32)) == set(), "both are brought to 16 pixels"
    assert codes((16, 16), (32, 32), "resize.size=64") == {"native-sizes"}
    assert codes((16, 16), (32, 32), "resize.fit=keep") == {"native-sizes"}
    assert codes((16, 16), (16, 24)) == {"aspect-ratios"}
    assert codes((8, 8), (16, 24), "resize.first.size=8") == set()


def test_bringing_both_sides_to_a_size_first_is_resizing_them_before():
    generated, real = moving(height=8, width=8), moving(height=24, width=32, first_seed=9)
    small = [resize(clip, Scaling(size=8)) for clip in real]
    by_name = "windows.seeded_by=name"  # the pixels of both sets differ, and so would the draws
    first = score(generated, real, by_name, "resize.first.size=8")
    before = score(generated, small, by_name)
    assert first.scores == before.scores
    assert first.scores != score(generated, real, by_name).scores
    assert dict(first.signature_fields)["size"] == "8,crop,bilinear-aa>16,crop,bilinear-aa"


def test_the_sample_card_tells_the_stride_and_the_size_of_the_training(tmp_path):
    write_clips(moving(height=8, width=8), tmp_path, "npz")
    config = {"size": 8, "stride": 3}
    write_card(tmp_path, SampleCard(command="", clips=4, seconds_per_clip=1, device="cpu", config=config))
    real = open_source(moving(first_seed=9))
    found = warned(score(tmp_path, real))
    assert set(found) == {"training-stride", "native-sizes"}
    assert "--set windows.real_stride=3" in found["training-stride"]
    assert "--set resize.first.size=8" in found["native-sizes"]
    assert not warned(score(tmp_path, real, "windows.real_stride=3", "resize.first.size=8"))
    assert "windows.real_stride=6" in warned(score(tmp_path, real, "windows.stride=2"))["training-stride"]


def test_scores_over_time_compare_equal_times(tmp_path):
    """The real clips hold every frame, the generated ones every second one, of the same films."""
    options = {"metrics": ["fvd"], "extractor": StubExtractor(), "store": FeatureStore(tmp_path / "store")}
    slow, fast = at_rate(tmp_path / "12", 12, keep=2), at_rate(tmp_path / "24", 24)
    for setting in ("windows.real_stride=2", "windows.fps=12"):
        records = evaluate_over_time(slow, fast, 6, settings=(*SETTINGS, setting), **options)
        assert list(records) == [0, 6, 12, 18]
        for offset, record in records.items():
            assert frames_of(record.clips.generated) == {tuple(range(offset, offset + 6))}
            assert frames_of(record.clips.real) == {tuple(range(2 * offset, 2 * offset + 12, 2))}
            assert record.scores["fvd"].value == pytest.approx(0, abs=1e-6)


def test_pairs_of_unequal_rates_or_shapes_are_warned_of(tmp_path):
    truth = at_rate(tmp_path / "truth", 24)
    assert not evaluate_pairs(at_rate(tmp_path / "same", 24), truth).warnings
    (code, text), *rest = evaluate_pairs(at_rate(tmp_path / "slow", 12), truth).warnings
    assert (code, rest) == ("frame-rates", [])
    assert "generated 12 frames per second, real 24: frames of the same number" in text
    wide = at_rate(tmp_path / "wide", 24, width=32)
    plan = vgbench.evaluation.paired.plan_pairs(settings=["resize.fit=crop", "resize.size=16"])
    assert [code for code, _ in evaluate_pairs(wide, truth, plan).warnings] == ["aspect-ratios"]
    assert np.isfinite(evaluate_pairs(wide, truth, plan).scores["psnr"].value)
