"""`vgbench paired`: who is compared with whom, on which frames, and what the record says of it."""

from __future__ import annotations

import dataclasses
import json
import time

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from vgbench import cli
from vgbench.clips import ClipSource, open_source, write_clips
from vgbench.clips.clip import Clip, Skipped
from vgbench.errors import ConfigError, NotEnoughClips, SkippedClips, VgbenchError
from vgbench.evaluation.paired import PairedProtocol, evaluate_pairs, match, plan_pairs
from vgbench.leaderboard.comparison import NotComparable, compare
from vgbench.leaderboard.verification import verify
from vgbench.metrics.paired import PAIRED, psnr, tlp, tof
from vgbench.records.record import load_record


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 256, (3, 6, 48, 64, 3), dtype=np.uint8)
    noisy = np.clip(truth + rng.normal(0, 12, truth.shape), 0, 255).astype(np.uint8)
    return noisy, truth


@pytest.fixture(scope="module")
def folders(clips, tmp_path_factory):
    base = tmp_path_factory.mktemp("pairs")
    for name, side, file_format in (("made", clips[0], "webp"), ("truth", clips[1], "mkv")):
        write_clips(iter(side), base / name, file_format, fps=8)
    return base / "made", base / "truth"


def test_scores_are_the_means_over_pairs_whatever_the_file_format(clips, folders):
    record = evaluate_pairs(*folders, PairedProtocol(metrics=("psnr", "tof")))
    by_hand = {"psnr": [psnr(*pair) for pair in zip(*clips, strict=True)]}
    by_hand["tof"] = [tof(*pair) for pair in zip(*clips, strict=True)]
    for name, values in by_hand.items():
        score = record.scores[name]
        assert score.value == pytest.approx(np.mean(values), rel=1e-12)
        assert score.standard_error == pytest.approx(np.std(values, ddof=1) / 3**0.5, rel=1e-9)
        assert score.n == 3
        assert score.interval[0] < score.value < score.interval[1]
        assert record.details["values"][name] == pytest.approx(values, rel=1e-12)
    assert record.signature.startswith("paired|clips:3 pairs|frames:all|size:native|reader:4|real:")
    assert record.details["better"] == {"psnr": "higher", "tof": "lower"}
    assert [w.id for w in record.clips.generated.windows] == ["00000.webp", "00001.webp", "00002.webp"]


def test_arrays_are_paired_by_position(clips, folders):
    from_arrays = evaluate_pairs(*clips)
    assert from_arrays.scores == evaluate_pairs(*folders, workers=1).scores


def test_only_the_frames_asked_for_count(clips):
    made, truth = (side.copy() for side in clips)
    made[:, :2], made[:, 5:] = 0, 0
    record = evaluate_pairs(made, truth, PairedProtocol(metrics=("psnr",), skip=2, frames=3))
    expected = np.mean([psnr(a[2:5], b[2:5]) for a, b in zip(*clips, strict=True)])
    assert record.scores["psnr"].value == pytest.approx(expected, rel=1e-12)
    assert "frames:3 after 2" in record.signature
    assert record.clips.real.windows[0].frames == (2, 3, 4)


def test_models_are_compared_pair_by_pair_and_only_on_the_same_references(clips):
    made, truth = clips
    plan = PairedProtocol(metrics=("psnr",))
    record = evaluate_pairs(made, truth, plan, name="a")
    smoothed = (made // 2 + truth // 2).astype(np.uint8)
    other = evaluate_pairs(smoothed, truth, plan, name="b")
    values = (r.details["values"]["psnr"] for r in (other, record))
    (found,) = compare(record, other).metrics
    assert found.difference.p_value == pytest.approx(stats.ttest_rel(*values).pvalue, rel=1e-6)
    # Two pairs each, of unlike references: the same number of values, which belong to other clips.
    with pytest.raises(NotComparable, match="real: "):
        compare(evaluate_pairs(made[:2], truth[:2], plan), evaluate_pairs(smoothed[1:], truth[1:], plan))


def test_records_from_before_pairs_kept_their_share_still_verify(clips):
    record = evaluate_pairs(*clips, PairedProtocol(metrics=("psnr",)))
    older = {name: dataclasses.replace(s, deviations=None) for name, s in record.scores.items()}
    assert verify(record.model_copy(update={"scores": older}), *clips).holds
    assert verify(record, *clips).holds
    shares = dataclasses.replace(record.scores["psnr"], deviations=((), (0.0, 0.1, 0.2)))
    assert not verify(record.model_copy(update={"scores": {"psnr": shares}}), *clips).holds


def test_what_has_no_partner_is_named(clips, folders, tmp_path):
    made = tmp_path / "made"
    write_clips(iter([clips[0][0], clips[0][1][:4], clips[0][2][:, :40]]), made, "mkv", fps=8)
    write_clips(iter([clips[0][0]]), made / "more", "mkv", fps=8)
    (made / "more" / "00000.mkv").rename(made / "more" / "lonely.mkv")
    record = evaluate_pairs(made, folders[1], results=tmp_path / "results")
    assert record.scores["psnr"].n == 1
    assert record.scores["psnr"].interval is None
    reasons = {entry.path: entry.reason for entry in record.clips.generated.skipped}
    assert reasons == {
        "00001.mkv": "has 4 frames, its reference has 6",
        "00002.mkv": "frames are 64 × 40, those of its reference 64 × 48",
        "more/lonely.mkv": "no clip of stem 'lonely' to compare with",
    }
    assert ("skipped-clips", "generated: 3 clips have no partner or cannot be used") in record.warnings
    with pytest.raises(SkippedClips):
        evaluate_pairs(made, folders[1], strict=True)


def test_repeated_names_are_told_apart_by_their_folders(clips, tmp_path):
    for side in ("made", "truth"):
        for number, folder in enumerate(("a", "b")):
            write_clips(iter([clips[0][number]]), tmp_path / side / folder, "mkv", fps=8)
    pairs, *lonely = match(open_source(tmp_path / "made"), open_source(tmp_path / "truth"))
    assert [(pair.generated.id, pair.reference.id) for pair in pairs] == [
        ("a/00000.mkv", "a/00000.mkv"),
        ("b/00000.mkv", "b/00000.mkv"),
    ]
    assert lonely == [[], []]
    write_clips(iter([clips[0][0]]), tmp_path / "made" / "a", "webp", fps=8)
    pairs, *lonely = match(open_source(tmp_path / "made"), open_source(tmp_path / "truth"))
    assert [pair.stem for pair in pairs] == ["b/00000"]
    assert {entry.reason for side in lonely for entry in side} == {"the stem 'a/00000' is not unique"}


@dataclasses.dataclass(frozen=True)
class Named(Clip):
    """A clip that is its name."""

    def fingerprint(self):
        return self.id

    def count_frames(self):
        return 2

    def read(self, indices):
        return np.zeros((len(indices), 8, 8, 3), np.uint8)


def named(*ids, skipped=()):
    return ClipSource("named", [Named(clip_id, None) for clip_id in ids], skipped)


@pytest.mark.parametrize(
    ("generated", "reference", "expected"),
    [
        (["b.mp4", "a.gif"], ["a.webm", "b.mp4"], {"a": "a.gif a.webm", "b": "b.mp4 b.mp4"}),
        (["x/1.mp4", "y/2.mp4"], ["2.mp4", "1.mp4"], {"1": "x/1.mp4 1.mp4", "2": "y/2.mp4 2.mp4"}),
        # An array is paired by position, whatever its file is called; two arrays are told apart by name.
        (["#000000", "#000001"], ["r.npy#000001"], {"000001": "#000001 r.npy#000001"}),
        (["x.npy#0", "y.npy#0"], ["y.npy#0", "z.npy#0"], {"y#0": "y.npy#0 y.npy#0"}),
        # A name that one side has twice: then folders count, on both sides.
        (["a/1.mp4"], ["a/1.mp4", "b/1.mp4"], {"a/1": "a/1.mp4 a/1.mp4"}),
        (["a/1.mp4", "b/1.mp4"], ["c/1.mp4", "b/1.webm"], {"b/1": "b/1.mp4 b/1.webm"}),
        (["a/1.mp4", "a/2.mp4"], ["a/1.mp4", "b/2.mp4", "b/1.mp4"], {"a/1": "a/1.mp4 a/1.mp4"}),
    ],
)
def test_who_is_paired_with_whom(generated, reference, expected):
    pairs, *lonely = match(named(*generated), named(*reference))
    assert [pair.stem for pair in pairs] == sorted(expected)
    assert {pair.stem: f"{pair.generated.id} {pair.reference.id}" for pair in pairs} == expected
    paired = {clip for both in expected.values() for clip in both.split()}
    assert [{entry.path for entry in side} for side in lonely] == [
        set(generated) - paired,
        set(reference) - paired,
    ]
    assert {entry.reason.split("'")[0] for side in lonely for entry in side} <= {"no clip of stem "}


def test_clips_of_one_stem_are_named_on_both_sides_and_what_was_skipped_before_stays():
    skipped = [Skipped("broken.mp4", "damaged"), Skipped("other.mp4", "empty")]
    sides = (
        named("1.mp4", "2.mp4", skipped=skipped[:1]),
        named("1.mp4", "1.gif", "2.gif", skipped=skipped[1:]),
    )
    pairs, *lonely = match(*sides)
    assert [pair.stem for pair in pairs] == ["2"]
    reason = "the stem '1' is not unique"
    assert lonely[0] == [skipped[0], Skipped("1.mp4", reason)]
    assert lonely[1] == [skipped[1], Skipped("1.mp4", reason), Skipped("1.gif", reason)]
    assert sides[0].skipped == skipped[:1]


def test_the_record_says_how_long_the_pairs_took(clips, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def slow(clip, reference):
        now[0] += 2.5
        return 1.0

    monkeypatch.setitem(PAIRED, "psnr", dataclasses.replace(PAIRED["psnr"], measure=slow))
    assert evaluate_pairs(*clips, PairedProtocol(metrics=("psnr",))).seconds == {"total": 7.5}


def test_nothing_to_pair_is_an_error(clips, folders, tmp_path):
    write_clips(iter([clips[0][0]]), tmp_path, "mkv", fps=8)
    (tmp_path / "00000.mkv").rename(tmp_path / "other.mkv")
    with pytest.raises(NotEnoughClips, match="no clip of stem 'other'"):
        evaluate_pairs(tmp_path, folders[1])


def test_lpips_and_tlp_through_an_untrained_network(clips):
    protocol = PairedProtocol(metrics=("lpips", "tlp"), weights="random:1")
    record = evaluate_pairs(*clips, protocol)
    assert record.scores["lpips"].value > 0
    assert "feat:lpips-alex@random:1" in record.signatures["lpips"]
    equal = evaluate_pairs(clips[1], clips[1], protocol)
    assert equal.scores["lpips"].value == equal.scores["tlp"].value == 0
    with pytest.raises(VgbenchError, match="not in the cache"):
        evaluate_pairs(*clips, PairedProtocol(metrics=("lpips",)))


def test_tlp_by_hand(clips):
    """TecoGAN: 100 |d(g_t, g_t+1) − d(b_t, b_t+1)|, with a distance that is known."""

    def brightness(first, second):
        return np.abs(first.mean(axis=(1, 2, 3)) - second.mean(axis=(1, 2, 3)))

    levels = np.array([0, 10, 40], dtype=np.uint8)[:, None, None, None]
    made = np.broadcast_to(levels, (3, 8, 8, 3))
    assert tlp(made, np.zeros_like(made), brightness) == pytest.approx(100 * (10 + 30) / 2)
    assert tlp(made, 255 - made, brightness) == 0


def test_equal_pairs_have_a_finite_psnr(clips):
    assert evaluate_pairs(clips[1], clips[1], PairedProtocol(metrics=("psnr",))).scores["psnr"].value == 100


def test_bad_choices_are_refused(clips):
    with pytest.raises(ConfigError, match="unknown paired metric 'fvd'"):
        plan_pairs("psnr,fvd")
    with pytest.raises(ConfigError, match="unknown key"):
        plan_pairs(None, settings=["stride=2"])
    assert plan_pairs("all").metrics == tuple(PAIRED)
    with pytest.raises(VgbenchError, match="176"):
        evaluate_pairs(*clips, PairedProtocol(metrics=("ms_ssim",)), workers=1)
    with pytest.raises(ConfigError, match="tof needs 2 frames"):
        evaluate_pairs(*clips, PairedProtocol(metrics=("tof",), frames=1))


def test_the_command_saves_a_record_that_verifies(folders, tmp_path):
    command = ["paired", str(folders[0]), "-a", str(folders[1]), "-m", "ssim,strred", "--json"]
    done = CliRunner().invoke(cli.app, [*command, "--results", str(tmp_path), "--name", "copy"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["scores"].keys() == {"ssim", "strred"}
    record = load_record(next(tmp_path.glob("*.json")))
    assert verify(record, *folders).holds
    assert not verify(record, folders[1], folders[1]).holds
