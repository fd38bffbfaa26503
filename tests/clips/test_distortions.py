from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgbench.clips import open_source, write_clips
from vgbench.clips.distortions import DISTORTIONS, FRAME_DISTORTIONS, distort, parse_distortion
from vgbench.errors import ConfigError

SOURCE = "builtin:moving-shapes/test?size=32&clips=24"


@pytest.fixture(scope="module")
def source():
    return open_source(SOURCE)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_strength_zero_changes_nothing(source, name):
    damaged = distort(source, name, 0.0)
    for clean, other in (
        zip(source.clips, damaged.clips, strict=True) if name not in ("mode-drop", "duplicate") else ()
    ):
        assert np.array_equal(clean.read(range(16)), other.read(range(16)))
    assert {c.id for c in damaged.clips} == {c.id for c in source.clips}


@pytest.mark.parametrize("name", sorted(FRAME_DISTORTIONS))
def test_damage_grows_with_strength_and_is_repeatable(source, name):
    def mean_change(strength):
        clips = distort(source, name, strength).clips
        pairs = zip(source.clips, clips, strict=True)
        return np.mean([np.abs(a.read(range(16)).astype(float) - b.read(range(16))).mean() for a, b in pairs])

    changes = [mean_change(strength) for strength in (0, 0.5, 1)]
    assert changes[0] == 0 < changes[1] < changes[2]
    assert changes[1] == mean_change(0.5)


@given(st.floats(0, 1), st.sampled_from(["freeze", "drop", "shuffle", "reverse"]))
def test_temporal_damage_shows_only_frames_that_were_there(strength, name):
    frames = np.broadcast_to(np.arange(16, dtype=np.uint8)[:, None, None, None], (16, 8, 8, 3))
    damaged = FRAME_DISTORTIONS[name](frames, strength, np.random.default_rng(0))
    shown = damaged[:, 0, 0, 0].tolist()
    assert (damaged == damaged[:, :1, :1, :1]).all()
    if name in ("shuffle", "reverse"):
        assert sorted(shown) == list(range(16))
    else:
        assert shown == sorted(shown)


def test_full_strength_means_what_its_name_says():
    frames = np.random.default_rng(0).integers(0, 256, (16, 16, 16, 3), dtype=np.uint8)
    rng = np.random.default_rng(0)
    assert (FRAME_DISTORTIONS["freeze"](frames, 1, rng) == frames[:1]).all()
    assert (FRAME_DISTORTIONS["drop"](frames, 1, rng) == frames[:1]).all()
    assert (FRAME_DISTORTIONS["reverse"](frames, 1, rng) == frames[::-1]).all()
    swapped = FRAME_DISTORTIONS["local-swap"](frames, 1, rng)
    assert sorted(swapped[0].reshape(-1).tolist()) == sorted(frames[0].reshape(-1).tolist())
    half_gone = FRAME_DISTORTIONS["salt-and-pepper"](np.full_like(frames, 128), 1, rng)
    assert abs((half_gone != 128).mean() - 0.5) < 0.05


def test_speed_up_skips_frames():
    fast = distort(open_source("builtin:moving-shapes/test?size=32&clips=2&frames=31"), "speed-up", 1.0)
    slow = open_source("builtin:moving-shapes/test?size=32&clips=2&frames=31")
    assert fast.clips[0].count_frames() == 16
    assert np.array_equal(fast.clips[0].read(range(16)), slow.clips[0].read(range(0, 31, 2)))


def test_mode_drop_leaves_one_class_and_duplicate_one_clip(source):
    assert len({c.label for c in distort(source, "mode-drop", 1.0).clips}) == 1
    copies = distort(source, "duplicate", 1.0).clips
    assert len({c.fingerprint() for c in copies}) == 1
    assert len({c.id for c in copies}) == len(source.clips)


def test_damaged_clips_have_fingerprints_of_their_own(source):
    prints = [c.fingerprint() for name in ("noise", "blur") for c in distort(source, name, 0.5).clips]
    prints += [c.fingerprint() for c in distort(source, "noise", 0.6).clips]
    prints += [c.fingerprint() for c in source.clips]
    assert len(set(prints)) == len(prints)


def test_spec():
    assert parse_distortion("distort:freeze=0.5:s3://b/c") == ("freeze", 0.5, "s3://b/c")
    for bad in ("distort:freeze:x", "distort:freeze=a:x", "distort:freeze=1:"):
        with pytest.raises(ConfigError, match="distort:NAME=STRENGTH:SOURCE"):
            parse_distortion(bad)
    with pytest.raises(ConfigError):
        distort(open_source(SOURCE), "freze", 1)
    with pytest.raises(ConfigError, match="must lie in"):
        distort(open_source(SOURCE), "freeze", 2)


@pytest.mark.parametrize("form", ["mkv", "mp4"])
def test_repeated_clips_have_the_content_of_what_they_repeat(form, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (3, 4, 16, 16, 3), dtype=np.uint8)
    write_clips(noise, tmp_path, form)
    copies = distort(open_source(tmp_path), "duplicate", 1).clips
    assert len({clip.id for clip in copies}) == 3
    assert len({clip.first_frame_hash() for clip in copies}) == 1
    assert len({clip.content_hash() for clip in copies}) == 1
