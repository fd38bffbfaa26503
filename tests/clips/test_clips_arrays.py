from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vgbench.clips import open_source
from vgbench.clips.arrays import array_fingerprint, to_frames
from vgbench.clips.axes import channel_axis
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


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.03, -0.03])
def test_floats_outside_of_their_range_are_errors(value, tmp_path):
    floats = np.zeros((2, 4, 8, 8, 3), np.float32)
    floats[1, 2, 3, 4, 0] = value
    in_memory = open_source(floats, value_range=(0, 1))
    assert [clip.id for clip in in_memory.clips] == ["#000000"]
    assert [skipped.path for skipped in in_memory.skipped] == ["#000001"]
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


def test_groups_stand_wherever_labels_do(tmp_path):
    groups = ["video 1", "video 1", "video 2", "video 2"]
    np.savez(tmp_path / "a.npz", clips=CLIPS, labels=np.arange(4), groups=np.array(groups))
    torch.save({"clips": torch.from_numpy(CLIPS), "groups": groups}, tmp_path / "b.pt")
    source = open_source(tmp_path)
    assert [clip.group for clip in source.clips] == groups * 2
    assert [clip.label for clip in source.clips] == ["0", "1", "2", "3", None, None, None, None]
    assert [clip.recording for clip in source.clips] == groups * 2
    items = [
        (CLIPS[0], "run", "video 1"),
        (CLIPS[1], None, 7),
        {"clip": CLIPS[2], "group": "video 1"},
        {"clip": CLIPS[:2], "label": ["a", "b"], "group": torch.tensor([7, 8])},
        (CLIPS[2:], None, None),
        CLIPS[3],
    ]
    clips = open_source(items).clips
    assert [(clip.label, clip.group) for clip in clips] == [
        ("run", "video 1"),
        (None, "7"),
        (None, "video 1"),
        ("a", "7"),
        ("b", "8"),
        *[(None, None)] * 3,
    ]
    assert clips[-1].recording == clips[-1].id
    np.savez(tmp_path / "a.npz", clips=CLIPS, groups=np.arange(3))
    assert "3 groups for 4 clips" in open_source(tmp_path).skipped[0].reason


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"clips": CLIPS}, "a mapping with the keys \\['clips'\\] is not a clip"),
        ({"clip": CLIPS, "group": [1, 2, 3]}, "3 groups for 4 clips"),
        ((CLIPS, None, "video"), "5 groups for 4 clips"),
        ((CLIPS, None, 3), "groups must be a list with one group per clip"),
    ],
)
def test_groups_that_do_not_fit_are_refused(item, message):
    with pytest.raises(VgbenchError, match=message):
        open_source([item])


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
    assert "the one to use must be named 'clips'" in reasons


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


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["npy", "deflated npz", "pt"])
def test_fingerprints_read_a_few_frames_at_a_time(layout, kind, tmp_path, monkeypatch):
    array = np.ascontiguousarray(LAYOUTS[layout])
    if kind == "npy":
        np.save(tmp_path / "a.npy", array)
    elif kind == "pt":
        torch.save(torch.from_numpy(array), tmp_path / "a.pt")
    else:
        np.savez_compressed(tmp_path / "a.npz", array)
    frame_bytes = 8 * 10 * 3
    monkeypatch.setattr("vgbench.clips.clip.BLOCK_BYTES", 2 * frame_bytes)
    lengths = []
    monkeypatch.setattr(
        "vgbench.clips.arrays.to_frames",
        lambda clip, axis, span: lengths.append(clip.shape[axis.index("T")]) or to_frames(clip, axis, span),
    )
    clips = open_source(tmp_path).clips
    assert [clip.fingerprint() for clip in clips] == [array_fingerprint(clip) for clip in CLIPS]
    assert lengths == [2] * 3 * len(CLIPS)


FLOAT = torch.rand(6, 8, 10, 3)
ODD_TENSORS = {
    "sparse": (FLOAT.to_sparse(), "sparse_coo"),
    "meta": (torch.empty(6, 8, 10, 3, device="meta"), "meta"),
    "float8": (FLOAT.to(torch.float8_e4m3fn), "float8_e4m3fn values have no standard range"),
    "complex": (FLOAT.to(torch.complex64), "complex64 values"),
    "expanded": (torch.zeros(1, dtype=torch.uint8).expand(2**20, 1000, 1000, 3), "stores 1 bytes"),
    "one label": ({"clips": FLOAT[None], "labels": 3}, "labels must be a list"),
    "expanded labels": (
        {"clips": FLOAT[None], "labels": torch.zeros(1).expand(2**40)},
        "stores 4 bytes",
    ),
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's, on sparse tensors
@pytest.mark.parametrize("name", ODD_TENSORS)
@pytest.mark.parametrize("value_range", [None, (0, 1)])
def test_tensors_that_numpy_cannot_hold_are_skipped_with_a_reason(name, value_range, tmp_path):
    tensor, reason = ODD_TENSORS[name]
    torch.save(tensor, tmp_path / "odd.pt")
    np.save(tmp_path / "good.npy", CLIPS)
    source = open_source(tmp_path, value_range=value_range)
    assert len(source.clips) == len(CLIPS)
    assert reason in source.skipped[0].reason


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ["sparse", "meta", "float8"])
def test_tensors_in_memory_that_numpy_cannot_hold_are_errors(name):
    with pytest.raises(VgbenchError, match="item 0"):
        open_source(ODD_TENSORS[name][0], value_range=(0, 1))


def test_tensors_that_carry_gradients_or_no_labels_are_clips(tmp_path):
    levels = torch.from_numpy(CLIPS).double() / 255
    torch.save({"clips": levels.requires_grad_(), "labels": None}, tmp_path / "a.pt")
    source = open_source(tmp_path, value_range=(0, 1))
    np.testing.assert_array_equal(all_frames(source), CLIPS)
    assert [clip.label for clip in source.clips] == [None] * 4


def test_a_compressed_tensor_file_is_refused(tmp_path):
    torch.save(torch.zeros(6, 64, 64, 3, dtype=torch.uint8), data := io.BytesIO())
    with (
        zipfile.ZipFile(data) as plain,
        zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    assert "compressed" in _skipped(tmp_path)[0].reason


def sparse_npy(path, shape):
    """A file of holes: terabytes long, and a few bytes on the disk."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        file.truncate(file.tell() + int(np.prod(shape)))


def test_a_clip_of_terabytes_is_skipped(tmp_path):
    try:
        sparse_npy(tmp_path / "a.npy", (2**20, 1000, 1000, 3))
    except OSError:
        pytest.skip("the file system has no files of holes this large")
    assert "VGBENCH_MAX_CLIP_BYTES" in _skipped(tmp_path)[0].reason


def test_a_few_bytes_that_stand_for_a_million_clips_are_skipped(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", clips=np.zeros((2**17 + 1, 1, 1, 1, 3), np.uint8))
    assert (tmp_path / "a.npz").stat().st_size < 2000
    assert "VGBENCH_MAX_ARRAY_CLIPS" in _skipped(tmp_path)[0].reason


def test_labels_of_gigabytes_are_never_read(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", clips=CLIPS, labels=np.full(4, "x" * 100))
    monkeypatch.setattr(
        "vgbench.clips.arrays.MAX_LABELS_BYTES", 4 * 4 * 100
    )  # numpy's text has 4 bytes a letter
    assert len(open_source(tmp_path).clips) == 4
    monkeypatch.setattr("vgbench.clips.arrays.MAX_LABELS_BYTES", 4 * 4 * 100 - 1)
    assert "labels of more than 1599 bytes" in _skipped(tmp_path)[0].reason


def test_no_memory_for_a_clip_makes_it_bad(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", CLIPS)
    clip = open_source(tmp_path).clips[0]

    def full(*_):
        raise MemoryError

    monkeypatch.setattr(type(clip.file), "read_range", full)
    with pytest.raises(BadClip, match="MemoryError"):
        clip.read([0])


def test_a_tensor_file_that_was_replaced_is_read_anew(tmp_path):
    """As a training loop does it: written beside and renamed, with the size of the one before."""
    found = []
    for level in (10, 200):
        torch.save(torch.full((2, 4, 8, 8, 3), level, dtype=torch.uint8), tmp_path / "new.pt")
        (tmp_path / "new.pt").replace(tmp_path / "samples.pt")
        clip = open_source(tmp_path / "samples.pt").clips[0]
        found.append((clip.fingerprint(), int(clip.read([0]).max())))
    assert [level for _, level in found] == [10, 200]
    assert found[0][0] != found[1][0]
