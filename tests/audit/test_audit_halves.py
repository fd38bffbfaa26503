from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgbench.audit.halves import ALL_DISTORTIONS, KIND_OF, damage, memorise, split_halves
from vgbench.clips import ClipSource, open_source
from vgbench.clips.write import write_clips

SOURCE = "builtin:moving-shapes/test?size=16&clips=41"


@pytest.fixture(scope="module")
def source():
    return open_source(SOURCE)


def _ids(source):
    return [clip.id for clip in source.clips]


def test_halves_are_disjoint_complete_and_equal(source):
    reference, other = split_halves(source)
    assert not set(_ids(reference)) & set(_ids(other))
    assert sorted(_ids(reference) + _ids(other)) == _ids(source)
    assert (len(reference.clips), len(other.clips)) == (20, 21)


@given(st.randoms(use_true_random=False))
def test_listing_order_moves_no_clip_across(random):
    source = open_source(SOURCE)
    shuffled = list(source.clips)
    random.shuffle(shuffled)
    expected = [set(_ids(half)) for half in split_halves(source)]
    assert [set(_ids(h)) for h in split_halves(ClipSource(source.name, shuffled))] == expected


def test_halves_do_not_follow_the_order_of_ids(source):
    reference, _ = split_halves(source)
    assert _ids(reference) != _ids(source)[:20]


def test_windows_of_one_file_never_face_each_other(tmp_path):
    rng = np.random.default_rng(0)
    names = [
        path.name for path in write_clips(list(rng.integers(0, 256, (6, 40, 16, 16, 3), np.uint8)), tmp_path)
    ]
    lines = [{"path": name, "start": start, "frames": 8} for name in names for start in (0, 8, 16, 24)]
    manifest = tmp_path / "list.jsonl"
    manifest.write_text("\n".join(map(json.dumps, lines)))
    source = open_source(manifest)
    assert len(source.clips) == 24
    files = [{clip_id.split("@")[0] for clip_id in _ids(half)} for half in split_halves(source)]
    assert not files[0] & files[1]
    assert [len(half.clips) for half in split_halves(source)] == [12, 12]


def test_clips_of_one_group_never_face_each_other():
    frames = np.zeros((4, 8, 8, 3), np.uint8)
    source = open_source([(frames, None, f"video {number // 3}") for number in range(12)])
    groups = [{clip.group for clip in half.clips} for half in split_halves(source)]
    assert not groups[0] & groups[1]
    assert [len(half) for half in groups] == [2, 2]


@pytest.mark.parametrize("strength", [0.0, 0.25, 0.5, 1.0])
def test_memorise_copies_this_share_of_the_reference(source, strength):
    reference, other = split_halves(source)
    result = memorise(other, reference, strength)
    copies = set(_ids(result)) & set(_ids(reference))
    assert len(copies) == min(round(strength * 21), 20)
    assert len(result.clips) == 21
    originals = {clip.id: clip.fingerprint() for clip in reference.clips}
    assert all(c.fingerprint() == originals[c.id] for c in result.clips if c.id in copies)


def test_memorise_grows_by_adding(source):
    reference, other = split_halves(source)
    little, more = (set(_ids(memorise(other, reference, s))) - set(_ids(other)) for s in (0.2, 0.6))
    assert little < more


def test_mode_drop_keeps_the_other_distortions_clips_out(source):
    """It draws from the whole half, to fill the places of modes that went; all others damage used clips."""
    reference, half = split_halves(source)
    used = ClipSource("used", half.clips[:10])
    sizes = {name: len(damage(name, 0.2, used, half, reference).clips) for name in ALL_DISTORTIONS}
    assert sizes.pop("mode-drop") > 10
    assert set(sizes.values()) == {10}


def test_every_distortion_has_a_kind():
    assert set(KIND_OF) == set(ALL_DISTORTIONS)
