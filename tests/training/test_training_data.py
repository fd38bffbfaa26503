"""The stream of training clips: order, windows, what is kept in memory, what is passed over."""

import threading
import tracemalloc
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from tiny import FRAMES, SIZE, config, moving_squares

from vgbench.clips import ClipSource, open_source, write_clips
from vgbench.clips.clip import Clip
from vgbench.errors import BadClip, NotEnoughClips, VgbenchError
from vgbench.protocol.pixels import Resize, resize
from vgbench.training import TrainConfig
from vgbench.training.data import Windows, class_names, random_clips


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


@dataclass(frozen=True)
class Noted(Clip):
    """Frame t shows t everywhere; notes what is asked of it."""

    frames: int = FRAMES
    asked: list[object] = field(default_factory=list)
    meeting: threading.Barrier | None = None

    def fingerprint(self):
        return self.id

    def count_frames(self):
        self.asked.append("length")
        return self.frames

    def read(self, indices):
        self.asked.append(list(indices))
        return np.array(indices, np.uint8)[:, None, None, None] * np.ones((SIZE, SIZE, 3), np.uint8)

    def each_frame(self, count):
        self.asked.append("whole")
        if self.meeting is not None:
            self.meeting.wait(60)
        return iter(Noted("unasked", None).read(range(count)))


CLIP_BYTES = FRAMES * SIZE * SIZE * 3


def test_as_many_clips_are_kept_as_there_is_room_for():
    """Those are decoded once; of the others, only the frames of each window are."""
    clips = [Noted(str(i), None) for i in range(4)]
    room = (2 * CLIP_BYTES + 0.5) / 1e9
    stream = windows(ClipSource("noted", clips), frames=3, cache_gigabytes=room)
    for position in range(40):
        stream.batch([position])
    stream.close()
    kept = [clip for clip in clips if "whole" in clip.asked]
    assert [clip.asked for clip in kept] == [["length", "whole"]] * 2
    for clip in clips:
        if clip not in kept:
            length, *windows_read = clip.asked
            assert length == "length"
            assert len(windows_read) == 10, "ten epochs"
            assert all(np.diff(one).tolist() == [1, 1] for one in windows_read)


def test_nothing_is_kept_where_a_clip_is_a_byte_too_large():
    clip = Noted("0", None)
    stream = windows(ClipSource("noted", [clip]), cache_gigabytes=(CLIP_BYTES - 0.5) / 1e9)
    stream.batch(range(2))
    stream.close()
    assert "whole" not in clip.asked


def test_a_stream_keeps_as_much_as_a_training_config_unless_it_is_told():
    assert Windows.cache_gigabytes == TrainConfig.model_fields["cache_gigabytes"].default == 2
    clip = Noted("0", None)
    stream = windows(ClipSource("noted", [clip]))
    batch = stream.batch([0])
    stream.close()
    assert clip.asked == ["length", "whole"]
    np.testing.assert_array_equal(batch.clips[0, :, 0, 0, 0], np.arange(FRAMES))
    assert batch.labels.tolist() == [0]


def test_a_clip_that_could_not_be_decoded_takes_no_room():
    @dataclass(frozen=True)
    class Ends(Noted):
        def each_frame(self, count):
            self.asked.append("whole")
            return iter(self.read(range(count - 1)))

    bad, good = Ends("bad", None), [Noted(str(i), None) for i in range(2)]
    stream = windows(ClipSource("noted", [bad, *good]), cache_gigabytes=(2 * CLIP_BYTES + 0.5) / 1e9)
    order = [stream.clip_at(position) for position in range(9)]
    for position in range(order.index(0), 9):  # the bad one first
        stream.batch([position])
    stream.close()
    assert [clip.asked for clip in good] == [["length", "whole"]] * 2
    assert bad.asked.count("length") == bad.asked.count("whole") == 1, "passed over once and for all"
    assert list(stream.skipped) == ["bad"]


def test_a_clip_that_two_threads_decode_at_once_takes_the_room_of_one(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    clips = [Noted("0", None, meeting=threading.Barrier(2)), Noted("1", None), Noted("2", None)]
    stream = windows(ClipSource("noted", clips), cache_gigabytes=(3 * CLIP_BYTES + 0.5) / 1e9)
    order = [stream.clip_at(position) for position in range(12)]
    places = [[position for position in range(12) if order[position] == index] for index in range(3)]
    stream.batch(places[0][:2])
    assert clips[0].asked.count("whole") == 2
    for position in (*places[1], *places[2], *places[0]):
        stream.batch([position])
    stream.close()
    assert [clip.asked.count("whole") for clip in clips] == [2, 1, 1]
    assert [clip.asked for clip in clips[1:]] == [["length", "whole"]] * 2


def test_a_head_start_is_no_second_decoding():
    clips = [Noted(str(i), None, frames=20) for i in range(6)]
    stream = windows(ClipSource("noted", clips), cache_gigabytes=0)
    for start in range(0, 24, 4):
        stream.batch(range(start, start + 4), then=range(start + 4, start + 8))
    stream.close()
    read = [one for clip in clips for one in clip.asked if one != "length"]
    assert 24 <= len(read) <= 28, "the last head start may not have begun"
    assert all(clip.asked.count("length") == 1 for clip in clips)


def test_an_epoch_shows_every_clip_once_in_a_new_order():
    stream = windows(counting(), frames=20)
    order = [int(stream.batch([p]).clips[0, 0, 0, 0, 0]) // 10 for p in range(18)]
    stream.close()
    epochs = [order[:6], order[6:12], order[12:]]
    assert all(sorted(epoch) == [0, 1, 2, 3, 4, 5] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_another_seed_is_another_order_and_other_windows():
    def order_and_starts(seed):
        """Every window of the same clips, one clip at a time."""
        stream = windows(counting(n=12, frames=10), frames=1, seed=seed)
        first = stream.batch(range(12)).clips[:, 0, 0, 0, 0].astype(int)
        stream.close()
        return (first // 10).tolist(), (first % 10)[np.argsort(first // 10)].tolist()

    (order, starts), (other_order, other_starts) = order_and_starts(0), order_and_starts(1)
    assert order != other_order
    assert starts != other_starts
    assert order_and_starts(0) == (order, starts)


def test_the_stream_of_a_seed_stays_what_it_was():
    """A run that is resumed with a newer vgbench, or beside an older one, sees the same clips."""
    stream = windows(counting(n=6, frames=10), frames=1, seed=0)
    seen = stream.batch(range(12)).clips[:, 0, 0, 0, 0].tolist()
    stream.close()
    assert seen == [10, 45, 30, 5, 27, 57, 0, 57, 45, 13, 30, 26]


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
    with pytest.raises(NotEnoughClips, match=r"bad: none of the clips can be used \(is damaged\)"):
        stream.batch([0])
    stream.close()
    stream = windows(moving_squares(n=2, frames=14), frames=6, stride=3)
    with pytest.raises(NotEnoughClips, match="has 14 frames, fewer than the 16 of a window") as caught:
        stream.batch([0])
    stream.close()
    assert caught.value.remedy == "clips need at least 16 frames; decrease frames or stride"
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


def test_flip_mirrors_half_of_the_clips_from_left_to_right_and_changes_nothing_else():
    random = np.random.default_rng(0).integers(0, 256, (3, 20, SIZE, SIZE, 3), np.uint8)
    plain, flipped = windows(open_source(random)), windows(open_source(random), flip=True)
    as_they_are, mirrored = plain.batch(range(200)).clips, flipped.batch(range(200)).clips
    plain.close()
    flipped.close()
    same = (mirrored == as_they_are).all((1, 2, 3, 4))
    np.testing.assert_array_equal(mirrored[~same], as_they_are[~same][:, :, :, ::-1])
    assert 60 < same.sum() < 140


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


@pytest.mark.parametrize("labels", [{}, {"labels": True, "classes": ["a", "b"]}])
def test_a_step_is_measured_on_two_clips_of_noise_as_long_as_a_window(labels):
    one = config(stride=3, **labels)
    source = random_clips(one)
    assert [clip.count_frames() for clip in source.clips] == [3 * (FRAMES - 1) + 1] * 2
    assert [clip.label for clip in source.clips] == (["a", "a"] if labels else [None, None])
    pixels = np.stack([clip.read(range(22)) for clip in source.clips])
    assert pixels.shape[2:] == (SIZE, SIZE, 3)
    assert np.bincount(pixels.ravel(), minlength=256).min() > 0
    assert not np.array_equal(*pixels)


def labelled(clips):
    """A source of (clip, label) pairs; a clip that is None is damaged."""
    found = [
        Damaged(f"{number}", label) if frames is None else replace(one, id=f"{number}", label=label)
        for number, (frames, label) in enumerate(clips)
        for one in open_source(np.zeros((1, 20, SIZE, SIZE, 3), np.uint8) if frames is None else frames).clips
    ]
    return ClipSource("labelled", found)


def test_classes_are_counted_by_the_clips_that_can_be_used():
    good, short = np.zeros((1, 20, SIZE, SIZE, 3), np.uint8), np.zeros((1, 3, SIZE, SIZE, 3), np.uint8)
    clips = [(good, "a")] * 7 + [(short, "b")] * 3 + [(None, "c")] + [(short, "d"), (good, "d"), (None, "d")]
    stream = windows(labelled(clips), classes=("a", "b", "c", "d"))
    assert stream.class_counts == (7, 3, 1, 3), "nothing is known to be wrong yet"
    stream.look_at_every_class()
    assert stream.class_counts == (7, 0, 0, 2), "the third clip of d has not been looked at"
    stream.batch(range(2 * len(clips)))
    assert stream.class_counts == (7, 0, 0, 1)
    stream.close()
    without = windows(labelled(clips))
    without.look_at_every_class()
    assert without.class_counts == ()
    assert not without.skipped


def test_the_rate_of_the_windows_is_that_of_most_clips_over_the_stride():
    pixels = np.zeros((1, 20, SIZE, SIZE, 3), np.uint8)
    rated = [open_source(pixels, fps=fps).clips[0] for fps in (24, 24, 30)]
    unrated = open_source(pixels).clips[0]

    def rate(clips, stride=1):
        named = [replace(clip, id=str(number)) for number, clip in enumerate(clips)]
        return windows(ClipSource("rated", named), stride=stride).frame_rate()

    assert rate(rated) == 24
    assert rate(rated, stride=4) == 6
    assert rate([*rated, unrated, unrated]) == 24
    assert rate([rated[0], unrated, unrated]) is None
    assert rate([Damaged("a", None), unrated]) is None
