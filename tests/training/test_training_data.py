import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
from tiny import FRAMES, SIZE, moving_squares

from vgbench.clips import ClipSource, open_source, write_clips
from vgbench.clips.clip import Clip
from vgbench.errors import BadClip, NotEnoughClips, VgbenchError
from vgbench.protocol.pixels import Resize, resize
from vgbench.training.data import Windows, class_names


def windows(source, **changes):
    values = {"size": SIZE, "frames": FRAMES, "stride": 1, "seed": 0} | changes
    return Windows(source, **values)


def counting(n=6, frames=20):
    """Clip i shows value 10·i + t in frame t, so that a window tells where it was cut."""
    values = 10 * np.arange(n)[:, None] + np.arange(frames)
    return open_source(
        np.broadcast_to(values[..., None, None, None], (n, frames, SIZE, SIZE, 3)).astype(np.uint8)
    )


@dataclass(frozen=True)
class Damaged(Clip):
    def fingerprint(self):
        raise BadClip(self.id, "is damaged")

    def count_frames(self):
        raise BadClip(self.id, "is damaged")

    def read(self, indices):
        raise BadClip(self.id, "is damaged")


def test_an_epoch_shows_every_clip_once_in_a_new_order():
    stream = windows(counting(), frames=20)
    order = [int(stream.batch([p]).clips[0, 0, 0, 0, 0]) // 10 for p in range(18)]
    stream.close()
    epochs = [order[:6], order[6:12], order[12:]]
    assert all(sorted(epoch) == [0, 1, 2, 3, 4, 5] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_windows_are_uniform_over_the_clip_and_keep_the_stride():
    stream = windows(counting(n=1), frames=4, stride=3)
    cut = stream.batch(range(300)).clips[:, :, 0, 0, 0].astype(int)
    stream.close()
    assert (np.diff(cut, axis=1) == 3).all()
    starts, counts = np.unique(cut[:, 0], return_counts=True)
    assert starts.tolist() == list(range(11))
    assert counts.min() > 10


def test_a_position_is_always_the_same_window():
    """Neither order, nor batch, nor cache, nor head start matter: this is what resuming rests on."""
    one, other = windows(counting()), windows(counting(), cache_gigabytes=0)
    ahead = one.batch(range(4), then=range(4, 8)).clips, one.batch(range(4, 8)).clips
    single = np.concatenate([other.batch([p]).clips for p in reversed(range(8))])[::-1]
    one.close()
    other.close()
    np.testing.assert_array_equal(np.concatenate(ahead), single)


def test_bad_and_short_clips_are_passed_over_and_named():
    good = list(moving_squares(n=4, frames=FRAMES).clips)
    short = list(open_source([np.zeros((FRAMES - 1, SIZE, SIZE, 3), np.uint8)]).clips)
    clips = [*good, Damaged("broken.mp4", None), *short]
    stream = windows(ClipSource("mixed", clips))
    assert stream.batch(range(30)).clips.shape == (30, FRAMES, SIZE, SIZE, 3)
    stream.close()
    assert stream.skipped["broken.mp4"] == "is damaged"
    assert "has 7 frames, fewer than the 8" in stream.skipped[short[0].id]


def test_nothing_but_bad_clips_is_an_error():
    stream = windows(ClipSource("bad", [Damaged(f"{i}", None) for i in range(3)]))
    with pytest.raises(NotEnoughClips, match="is damaged"):
        stream.batch([0])
    stream.close()
    with pytest.raises(NotEnoughClips, match="no clips"):
        windows(ClipSource("empty", []))


def test_labels_come_with_their_clip():
    source = moving_squares(labels=True)
    assert class_names(source) == ("a", "b")
    stream = windows(source, classes=("a", "b"))
    batch = stream.batch(range(12))
    stream.close()
    # "a" moves right, "b" down: the rows that are lit stay the same, or change.
    rows = batch.clips.max((3, 4)) > 0
    stays = (rows[:, 0] == rows[:, -1]).all(1)
    assert (stays == (batch.labels == 0)).all()
    with pytest.raises(VgbenchError, match="without a label"):
        class_names(moving_squares())


def test_flip_mirrors_about_half_of_the_clips():
    ramp = np.broadcast_to(np.arange(SIZE)[:, None], (1, FRAMES, SIZE, SIZE, 3)).astype(np.uint8)
    stream = windows(open_source(ramp), flip=True)
    first = stream.batch(range(200)).clips[:, 0, 0, 0, 0]
    stream.close()
    assert 60 < (first == SIZE - 1).sum() < 140


def test_clips_are_resized():
    stream = windows(open_source(np.zeros((2, FRAMES, 40, 50, 3), np.uint8)))
    assert stream.batch([0]).clips.shape == (1, FRAMES, SIZE, SIZE, 3)
    stream.close()


def test_a_long_clip_is_resized_in_blocks_and_never_whole_in_memory(tmp_path, monkeypatch):
    flat = np.broadcast_to(np.arange(150, dtype=np.uint8)[:, None, None, None], (150, 96, 128, 3))
    write_clips([flat], tmp_path, "mkv")
    clip = open_source(tmp_path).clips[0]
    native, block = flat.nbytes, 8 * 96 * 128 * 3
    monkeypatch.setattr("vgbench.clips.clip.BLOCK_BYTES", block)
    resized = []
    monkeypatch.setattr(
        "vgbench.training.data.resize", lambda frames, _: resized.append(len(frames)) or resize(frames, _)
    )
    stream = windows(ClipSource("long", [clip]), frames=150)
    clip.read([0])  # whatever is imported once
    tracemalloc.start()
    found = stream.batch([0]).clips[0]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    stream.close()
    assert resized == [8] * 18 + [6]
    assert peak < native / 2
    np.testing.assert_array_equal(found, resize(clip.read(range(150)), Resize(size=SIZE)))


def test_a_clip_that_ends_early_or_changes_its_size_is_passed_over():
    @dataclass(frozen=True)
    class Odd(Clip):
        shapes: tuple[tuple[int, int, int], ...]

        def fingerprint(self):
            return ""

        def count_frames(self):
            return FRAMES

        def read(self, indices):
            raise AssertionError("frame by frame")

        def each_frame(self, count):
            return (np.zeros(shape, np.uint8) for shape in self.shapes)

    shape = (SIZE, SIZE, 3)
    odd = [Odd("early", None, (shape,) * 3), Odd("larger", None, (shape, (SIZE, SIZE + 1, 3)) * FRAMES)]
    stream = windows(ClipSource("mixed", [*moving_squares(n=4, frames=FRAMES).clips, *odd]))
    stream.batch(range(30))
    stream.close()
    assert stream.skipped == {
        "early": f"frame {FRAMES - 1} was requested, but there are 3 frames",
        "larger": "the frame size changes within the clip",
    }


@pytest.mark.parametrize(("count", "usable"), [(4, 2), (10, 1), (40, 4)])
def test_training_goes_on_where_most_clips_are_too_short(count, usable):
    """Others are drawn by luck, which must not end a run at some step while there are good clips."""
    lengths = [20 if index < usable else FRAMES - 1 for index in range(count)]
    source = open_source([np.full((length, SIZE, SIZE, 3), i, np.uint8) for i, length in enumerate(lengths)])
    stream = windows(source)
    seen = {int(stream.batch([position]).clips[0, 0, 0, 0, 0]) for position in range(600)}
    stream.close()
    assert seen == set(range(usable))
    assert len(stream.skipped) == count - usable
