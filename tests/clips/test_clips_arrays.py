from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vgbench.clips import open_source
from vgbench.clips.arrays import channel_axis
from vgbench.errors import BadClip, VgbenchError

CLIPS = np.random.default_rng(5).integers(0, 256, (4, 6, 8, 10, 3), dtype=np.uint8)


def all_frames(source) -> np.ndarray:
    return np.stack([clip.read(range(clip.count_frames())) for clip in source.clips])


LAYOUTS = {"NTHWC": CLIPS, "NTCHW": CLIPS.transpose(0, 1, 4, 2, 3), "NCTHW": CLIPS.transpose(0, 4, 1, 2, 3)}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["npy", "npz", "deflated npz", "pt", "numpy", "torch", "zip of npy"])
def test_the_same_clips_in_every_layout_and_container(layout, kind, tmp_path):
    array = np.ascontiguousarray(LAYOUTS[layout])
    spec = tmp_path / "a"
    if kind == "npy":
        np.save(spec := tmp_path / "a.npy", array)
    elif kind == "npz":
        np.savez(spec := tmp_path / "a.npz", array)
    elif kind == "deflated npz":
        np.savez_compressed(spec := tmp_path / "a.npz", clips=array)
    elif kind == "pt":
        torch.save(torch.from_numpy(array), spec := tmp_path / "a.pt")
    elif kind == "zip of npy":
        import zipfile

        np.save(tmp_path / "a.npy", array)
        with zipfile.ZipFile(spec := tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(tmp_path / "a.npy", "a.npy")
    else:
        spec = array if kind == "numpy" else torch.from_numpy(array)
    source = open_source(spec)
    np.testing.assert_array_equal(all_frames(source), CLIPS)
    np.testing.assert_array_equal(source.clips[2].read([1, 4]), CLIPS[2, [1, 4]])
    # The pixels are the same, and so is what features are stored under.
    assert [clip.fingerprint() for clip in source.clips] == [
        clip.fingerprint() for clip in open_source(CLIPS).clips
    ]
    assert [clip.label for clip in source.clips] == [None] * 4
    copies = pickle.loads(pickle.dumps(source.clips))
    np.testing.assert_array_equal(copies[3].read([5])[0], CLIPS[3, 5])


def test_one_clip_and_grey_clips():
    assert [clip.count_frames() for clip in open_source(CLIPS[0]).clips] == [6]
    grey = CLIPS[..., :1]
    for array in (grey, grey.transpose(0, 1, 4, 2, 3), grey.transpose(0, 4, 1, 2, 3)):
        np.testing.assert_array_equal(all_frames(open_source(array)), np.repeat(grey, 3, axis=-1))


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((16, 64, 64, 3), 3),
        ((16, 3, 64, 64), 1),
        ((3, 16, 64, 64), 0),
        ((3, 64, 64, 3), 3),
        ((1, 3, 8, 8), 1),
    ],
)
def test_channel_axis(shape, axis):
    assert channel_axis(shape) == axis


@pytest.mark.parametrize("shape", [(3, 3, 64, 64), (1, 1, 64, 64), (16, 64, 64, 4), (2, 64, 64, 2)])
def test_ambiguous_or_missing_colour_is_an_error(shape):
    with pytest.raises(VgbenchError, match="colour"):
        open_source(np.zeros((2, *shape), np.uint8))


@pytest.mark.parametrize("array", [np.zeros((4, 4, 3), np.uint8), np.zeros((0, 2, 4, 4, 3), np.uint8)])
def test_not_a_clip(array):
    with pytest.raises(VgbenchError, match="shape"):
        open_source(array)


@pytest.mark.parametrize("dtype", [np.int64, np.float32, bool])
def test_other_types_are_never_guessed(dtype, tmp_path):
    with pytest.raises(VgbenchError, match=np.dtype(dtype).name):
        open_source(CLIPS.astype(dtype))
    np.save(tmp_path / "a.npy", CLIPS.astype(dtype))
    with pytest.raises(VgbenchError, match=np.dtype(dtype).name):
        open_source(tmp_path / "a.npy")


@given(low=st.floats(-10, 10), span=st.floats(0.1, 100))
def test_floats_with_a_range_give_the_bytes_back(low, span):
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    floats = np.clip(low + levels.astype(np.float64) / 255 * span, low, low + span)
    (clip,) = open_source(floats, value_range=(low, low + span)).clips
    np.testing.assert_array_equal(clip.read([0]), levels)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.01, -0.01])
def test_floats_outside_of_their_range_are_errors(value, tmp_path):
    floats = np.zeros((2, 4, 8, 8, 3), np.float32)
    floats[1, 2, 3, 4, 0] = value
    with pytest.raises(VgbenchError, match="item 0"):
        open_source(floats, value_range=(0, 1))
    np.save(tmp_path / "a.npy", floats)
    good, bad = open_source(tmp_path / "a.npy", value_range=(0, 1)).clips
    assert good.read([0]).max() == 0
    with pytest.raises(BadClip):
        bad.read(range(4))


def test_floats_without_a_range_name_the_flag_and_how_to_write_it():
    with pytest.raises(VgbenchError, match=r"--value-range\), such as 0,1 or -1,1"):
        open_source(np.zeros((1, 8, 8, 8, 3), np.float32))


def test_an_empty_value_range_is_refused():
    with pytest.raises(VgbenchError, match="value_range"):
        open_source(CLIPS, value_range=(1, 1))


def test_torch_half_and_bfloat_tensors():
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        source = open_source(torch.ones(2, 3, 4, 8, 8, dtype=dtype), value_range=(-1, 1))
        assert all_frames(source).min() == 255


def test_labels_in_files_and_pairs(tmp_path):
    np.savez(tmp_path / "a.npz", clips=CLIPS, labels=np.array([3, 1, 3, 0]))
    torch.save({"clips": torch.from_numpy(CLIPS), "labels": torch.tensor([3, 1, 3, 0])}, tmp_path / "b.pt")
    source = open_source(tmp_path)
    assert [clip.label for clip in source.clips] == ["3", "1", "3", "0"] * 2
    pairs = open_source([(CLIPS[0], "run"), (torch.from_numpy(CLIPS[1]), 7), CLIPS[2]])
    assert [clip.label for clip in pairs.clips] == ["run", "7", None]
    np.savez(tmp_path / "a.npz", clips=CLIPS, labels=np.array([3, 1]))
    assert "2 labels for 4 clips" in open_source(tmp_path).skipped[0].reason


def test_a_training_loop_is_a_source():
    def loop():
        buffer = np.empty((2, 6, 8, 10, 3), np.uint8)
        for first in (0, 2):
            buffer[:] = CLIPS[first : first + 2]  # the same memory again and again
            yield buffer, [first, first + 1]

    source = open_source(loop())
    np.testing.assert_array_equal(all_frames(source), CLIPS)
    assert [clip.label for clip in source.clips] == ["0", "1", "2", "3"]
    assert [clip.id for clip in source.clips] == sorted(clip.id for clip in source.clips)


def test_torch_data_sets_and_loaders_are_sources():
    class Clips(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(CLIPS)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            return torch.from_numpy(CLIPS[index]), index % 2

    for spec in (Clips(), torch.utils.data.DataLoader(Clips(), batch_size=3)):
        source = open_source(spec)
        np.testing.assert_array_equal(all_frames(source), CLIPS)
        assert [clip.label for clip in source.clips] == ["0", "1", "0", "1"]


@pytest.mark.parametrize(("spec", "message"), [([], "no clip"), (["a.mp4"], "item 0"), (7, "not a source")])
def test_what_is_no_source(spec, message):
    with pytest.raises(VgbenchError, match=message):
        open_source(spec)


def test_a_source_is_returned_as_it_is():
    source = open_source(CLIPS)
    assert open_source(source) is source


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('user data was unpickled')",))


def test_pickled_objects_are_refused_and_never_run(tmp_path):
    np.save(tmp_path / "a.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    torch.save(Bomb(), tmp_path / "b.pt")
    np.save(tmp_path / "c.npy", CLIPS)
    source = open_source(tmp_path)
    assert len(source.clips) == 4
    assert len(source.skipped) == 2


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.pt"])
def test_damaged_array_files_are_named(name, tmp_path):
    path = tmp_path / name
    if name == "a.pt":
        torch.save(torch.from_numpy(CLIPS), path)
    elif name == "a.npz":
        np.savez(path, clips=CLIPS)
    else:
        np.save(path, CLIPS)
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(VgbenchError, match=name):
        open_source(path)


def test_fortran_order_and_several_arrays_say_what_to_do(tmp_path):
    np.save(tmp_path / "a.npy", np.asfortranarray(CLIPS))
    np.savez(tmp_path / "b.npz", real=CLIPS, fake=CLIPS)
    reasons = "\n".join(skipped.reason for skipped in _skipped(tmp_path))
    assert "Fortran order" in reasons
    assert "name the one to use 'clips'" in reasons


def _skipped(folder):
    np.save(folder / "good.npy", CLIPS)
    return open_source(folder).skipped


def test_a_clip_in_a_file_reads_only_its_own_bytes(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", CLIPS)
    clip = open_source(tmp_path).clips[2]
    asked = []
    original = type(clip.file).read_range
    monkeypatch.setattr(
        type(clip.file), "read_range", lambda self, start, n: asked.append(n) or original(self, start, n)
    )
    clip.read([2, 3])
    assert asked == [2 * 8 * 10 * 3]
