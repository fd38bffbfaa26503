"""Files of arrays as other programs write them: PyTorch, safetensors, HDF5, several arrays in one file."""

from __future__ import annotations

import io
import multiprocessing
import pickle
import resource
import struct
import sys
import zipfile

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors

from vgbench.clips import hdf5_file, open_source
from vgbench.clips.axes import axes_of
from vgbench.clips.files import LocalFile
from vgbench.clips.plain_pickle import Call, Global, read_plain_pickle
from vgbench.clips.torch_file import tensors_of
from vgbench.errors import VgbenchError

CLIPS = np.random.default_rng(7).integers(0, 256, (4, 6, 8, 10, 3), dtype=np.uint8)
TENSOR = torch.from_numpy(CLIPS)


def pixels(path, **reading):
    return [clip.read(range(clip.count_frames())) for clip in open_source(path, **reading).clips]


def labels(path):
    return [clip.label for clip in open_source(path).clips]


def reason(path):
    """Why the only file in a folder of its own cannot be used."""
    with pytest.raises(VgbenchError) as caught:
        open_source(path)
    return caught.value.message


PERMUTED = {
    "channels first": TENSOR.permute(0, 4, 1, 2, 3),  # a view, whose elements keep their place
    "a part of the clips": torch.cat([torch.zeros_like(TENSOR[:1]), TENSOR])[1:],
    "every second frame": torch.stack([TENSOR, TENSOR], 2).flatten(1, 2)[:, ::2],
    "a crop": torch.nn.functional.pad(TENSOR, (0, 0, 2, 3))[:, :, :, 2:-3],
    "a parameter": torch.nn.Parameter(TENSOR, requires_grad=False),
}


@pytest.mark.parametrize("view", PERMUTED)
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("suffix", [".pt", ".pth"])
def test_tensors_with_any_order_of_elements(view, zipped, suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    torch.save(PERMUTED[view], path, _use_new_zipfile_serialization=zipped)
    np.testing.assert_array_equal(pixels(path), CLIPS)
    np.testing.assert_array_equal(open_source(path).clips[2].read([1, 4]), CLIPS[2, [1, 4]])


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=lambda one: str(one)
)
def test_tensors_of_every_float_are_what_torch_reads(dtype, zipped, tmp_path):
    floats = (TENSOR.double() / 255).to(dtype)
    torch.save({"clips": floats, "step": 3, "state": {"x": torch.zeros(2)}}, tmp_path / "a.pt",
               _use_new_zipfile_serialization=zipped)  # fmt: skip
    expected = torch.load(tmp_path / "a.pt", weights_only=True)["clips"].double().mul(255).round()
    np.testing.assert_array_equal(pixels(tmp_path / "a.pt", value_range=(0, 1)), expected.byte().numpy())


def test_lists_of_tensors_are_clips_and_pairs_have_labels(tmp_path):
    torch.save(list(TENSOR), tmp_path / "list.pt")
    torch.save([(clip, name) for clip, name in zip(TENSOR, "abca", strict=True)], tmp_path / "pairs.pt")
    torch.save({"video": TENSOR, "labels": ["a", "b", "c", "a"], "actions": torch.zeros(4, 7)},
               tmp_path / "named.pt")  # fmt: skip
    torch.save((TENSOR, torch.tensor([3, 1, 2, 0])), tmp_path / "tuple.pt")
    for name in ("list", "pairs", "named", "tuple"):
        np.testing.assert_array_equal(pixels(tmp_path / f"{name}.pt"), CLIPS)
    assert labels(tmp_path / "pairs.pt") == labels(tmp_path / "named.pt") == ["a", "b", "c", "a"]
    assert labels(tmp_path / "tuple.pt") == ["3", "1", "2", "0"]
    assert [clip.id for clip in open_source(tmp_path / "list.pt").clips] == [
        f"list.pt#{k:06d}" for k in range(4)
    ]


def zip_of(pickled: bytes, data: bytes = b"\0" * 64) -> bytes:
    with zipfile.ZipFile(made := io.BytesIO(), "w") as archive:
        archive.writestr("a/data.pkl", pickled)
        archive.writestr("a/data/0", data)
    return made.getvalue()


HOSTILE = {
    "a list of numbers": pickle.dumps([2**40] * 3),
    "an endless hash": b"\x80\x02}(K\x01" + b"2\x86" * 60 + b"K\x00u.",
    "an endless text": b"\x80\x04]" + b"(K\x01" + b"2\x86" * 60 + b"e.",
    "a long number": b"\x80\x02\x8b\xff\xff\xff\x7f" + b"\xff" * 9,
    "a deep list": b"\x80\x02" + b"](" * 50000 + b"." ,
    "no end": b"\x80\x02" + b"K\x01" * 1000,
    "a mark that is missing": b"\x80\x02u.",
    "a memo that is missing": b"\x80\x02h\x07.",
    "a call of nothing": b"\x80\x02R.",
    "a bytearray": b"\x80\x05\x96" + struct.pack("<Q", 2**62) + b"x.",
    "an extension": b"\x80\x02\x82\x01.",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_refused_at_once(name, tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (tmp_path / "a.pt").write_bytes(zip_of(HOSTILE[name]))
    assert "a.pt" in reason(tmp_path / "a.pt")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000 * (1 if sys.platform != "darwin" else 1024)  # KiB on Linux


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('user data was unpickled')",))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("thing", [Bomb(), [Bomb()], {"clips": Bomb()}, {"clips": TENSOR, "labels": Bomb()}])
def test_objects_are_never_made(thing, zipped, tmp_path):
    torch.save(thing, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    assert "a.pth" in reason(tmp_path / "a.pth")


def test_what_a_tensor_claims_must_be_there(tmp_path):
    def claim(shape, strides, offset=0, count=64):
        """The pickle of a tensor of bytes, as torch writes it."""
        storage = ("storage", torch.ByteStorage, "0", "cpu", count)

        class Storage:
            def __reduce__(self):
                return (dict, ())

        class Writer(pickle.Pickler):
            def persistent_id(self, value):
                return storage if isinstance(value, Storage) else None

        class Tensor:
            def __reduce__(self):
                return (torch._utils._rebuild_tensor_v2, (Storage(), offset, shape, strides, False, {}))

        Writer(made := io.BytesIO(), 2).dump(Tensor())
        return made.getvalue()

    good = (2, 2, 2, 3), (12, 6, 3, 1)
    (tmp_path / "a.pt").write_bytes(zip_of(claim(*good), bytes(range(64))))
    np.testing.assert_array_equal(pixels(tmp_path / "a.pt")[0].reshape(-1), np.arange(24))
    for shape, strides, offset in (
        ((2, 2, 2, 300), (12, 6, 3, 1), 0),
        ((2**20, 1000, 1000, 3), (0, 0, 0, 1), 0),
        ((2, 2, 2, 3), (12, 6, 3, 1), 50),
        ((2, 2, 2, 3), (12, 6, 60, 1), 0),
        ((2, 2, 2, 3), (-12, 6, 3, 1), 12),
        ((2, 2, 2, -3), (12, 6, 3, 1), 0),
        ((2, 2, 2, 3), (6, 3, 1), 0),
        ((True, 2, 2, 3), (12, 6, 3, 1), 0),
        ((2**61, 2, 2, 3), (2**61, 6, 3, 1), 0),
    ):
        (tmp_path / "a.pt").write_bytes(zip_of(claim(shape, strides, offset), bytes(64)))
        assert "a.pt" in reason(tmp_path / "a.pt")


def test_a_pickle_is_read_as_it_is_written():
    for value in ([1, -5, 2**70, 1.5, None, True], {"a": (1, 2, 3, 4), "b": 2.5, 3: []}, "é", ((), [[]])):
        for protocol in range(2, 6):
            assert read_plain_pickle(io.BytesIO(pickle.dumps(value, protocol))) == value
    call = read_plain_pickle(io.BytesIO(pickle.dumps(Bomb())))
    assert isinstance(call, Call)
    assert call.function == Global("builtins.exec")


def test_tensors_of_a_file_are_found_without_torch(tmp_path):
    torch.save({"x": TENSOR, "y": torch.zeros(3)}, tmp_path / "a.pt")
    found = tensors_of(LocalFile(str(tmp_path), "a.pt", (tmp_path / "a.pt").stat().st_size))
    assert {name: one.shape for name, one in found.items()} == {"x": CLIPS.shape, "y": (3,)}


def test_clips_in_safetensors(tmp_path):
    save_file({"clips": CLIPS, "labels": np.array([2, 0, 1, 2])}, tmp_path / "a.safetensors")
    np.testing.assert_array_equal(pixels(tmp_path / "a.safetensors"), CLIPS)
    assert labels(tmp_path / "a.safetensors") == ["2", "0", "1", "2"]
    save_tensors({"video": (TENSOR.double() / 255).bfloat16(), "step": torch.zeros(1)},
                 tmp_path / "b.safetensors")  # fmt: skip
    expected = (TENSOR.double() / 255).bfloat16().double().mul(255).round().byte().numpy()
    np.testing.assert_array_equal(pixels(tmp_path / "b.safetensors", value_range=(0, 1)), expected)
    data = bytearray((tmp_path / "a.safetensors").read_bytes())
    (tmp_path / "cut.safetensors").write_bytes(data[:-9])
    assert "ends before the last clip" in reason(tmp_path / "cut.safetensors")
    data[:8] = struct.pack("<Q", 2**40)
    (tmp_path / "long.safetensors").write_bytes(data)
    assert "not a safetensors file" in reason(tmp_path / "long.safetensors")
    save_file({"weight": np.zeros((3, 3), np.float32)}, tmp_path / "weights.safetensors")
    assert "(3, 3)" in reason(tmp_path / "weights.safetensors")


def test_several_arrays_in_one_npz(tmp_path):
    np.savez(tmp_path / "adm.npz", CLIPS, np.array([2, 0, 1, 2]))
    np.testing.assert_array_equal(pixels(tmp_path / "adm.npz"), CLIPS)
    assert labels(tmp_path / "adm.npz") == ["2", "0", "1", "2"]
    many = np.concatenate([CLIPS] * 3)
    np.savez(tmp_path / "many.npz", *many)  # arr_10 comes after arr_9
    np.testing.assert_array_equal(pixels(tmp_path / "many.npz"), many)
    np.savez(tmp_path / "named.npz", walk=CLIPS[0], run=CLIPS[1], fps=np.array(25))
    clips = open_source(tmp_path / "named.npz").clips
    assert [clip.id for clip in clips] == ["named.npz#run", "named.npz#walk"]
    np.testing.assert_array_equal(clips[0].read([3]), CLIPS[1, [3]])
    np.savez(tmp_path / "x.npz", video=CLIPS, y=np.arange(4), mask=np.ones((4, 6)))
    np.testing.assert_array_equal(pixels(tmp_path / "x.npz"), CLIPS)
    assert labels(tmp_path / "x.npz") == ["0", "1", "2", "3"]
    np.savez(tmp_path / "batches.npz", CLIPS[:3], CLIPS[3:])
    np.testing.assert_array_equal(pixels(tmp_path / "batches.npz"), CLIPS)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"mu": np.zeros(8), "sigma": np.eye(8)}, "statistics of a Fréchet distance"),
        ({"train": CLIPS, "test": CLIPS}, "must be named 'clips'"),
        ({"a": np.zeros(3), "b": np.ones(4)}, "none of which can be clips"),
        ({"clips": CLIPS.astype(np.int64)}, "int64 values have no standard range"),
        ({"video": CLIPS.astype(np.int16), "labels": np.arange(4)}, "none of which can be clips"),
    ],
)
def test_npz_files_without_an_answer_say_why(arrays, message, tmp_path):
    np.savez(tmp_path / "a.npz", **arrays)
    assert message in reason(tmp_path / "a.npz")


GREY = np.random.default_rng(1).integers(0, 256, (5, 7, 8, 10), dtype=np.uint8)


def test_axes_that_the_user_names(tmp_path):
    np.save(tmp_path / "a.npy", GREY)
    for axes, order in (("TNHW", (1, 0, 2, 3)), ("NTHW", (0, 1, 2, 3)), ("tnwh", (1, 0, 3, 2))):
        expected = np.repeat(GREY.transpose(order)[..., None], 3, axis=-1)
        for spec in (tmp_path / "a.npy", GREY):
            found = pixels(spec, axes=axes)
            np.testing.assert_array_equal(found, expected)
            assert open_source(spec, axes=axes).clips[1].read([2, 3]).tobytes() == found[1][[2, 3]].tobytes()
    np.save(tmp_path / "b.npy", GREY[0])
    np.testing.assert_array_equal(pixels(tmp_path / "b.npy", axes="THW")[0][..., 1], GREY[0])
    np.save(tmp_path / "c.npy", CLIPS)  # five axes: not those that were named
    np.testing.assert_array_equal(pixels(tmp_path / "c.npy", axes="TNHW"), CLIPS)


def test_axes_that_are_ambiguous_are_told_with_both_readings(tmp_path):
    np.save(tmp_path / "a.npy", GREY)
    assert "5 grey clips of 7 frames (--axes NTHW) or 7 grey clips of 5 frames (--axes TNHW)" in reason(
        tmp_path / "a.npy"
    )
    np.save(tmp_path / "b.npy", GREY[0])
    assert "--axes THW reads it as one grey clip" in reason(tmp_path / "b.npy")
    for axes in ("TNH", "TTHW", "TXHW", ""):
        with pytest.raises(VgbenchError, match="axes"):
            open_source(tmp_path / "a.npy", axes=axes)
    with pytest.raises(VgbenchError, match="7 colours"):
        open_source(GREY, axes="TCHW")


def test_moving_mnist_is_known_by_its_shape():
    assert axes_of((20, 10000, 64, 64)) == "TNHW"


def test_one_clip_of_many_reads_its_own_frames_only(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", GREY)
    clip = open_source(tmp_path / "a.npy", axes="TNHW").clips[3]
    asked = []
    original = type(clip.file).read_range
    monkeypatch.setattr(
        type(clip.file), "read_range", lambda self, start, n: asked.append(n) or original(self, start, n)
    )
    clip.read([1, 2])
    assert asked == [80, 80]


def test_clips_in_hdf5(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("clips", data=CLIPS, chunks=(1, 2, 8, 10, 3), compression="gzip")
        file["labels"] = ["walk", "run", "walk", "jump"]
    np.testing.assert_array_equal(pixels(tmp_path / "a.h5"), CLIPS)
    assert labels(tmp_path / "a.h5") == ["walk", "run", "walk", "jump"]
    np.testing.assert_array_equal(open_source(tmp_path / "a.h5").clips[2].read([1, 4]), CLIPS[2, [1, 4]])
    with h5py.File(tmp_path / "b.hdf5", "w") as file:
        for k, clip in enumerate(CLIPS):
            file[f"walk/{k}"] = clip
    assert [clip.id for clip in open_source(tmp_path / "b.hdf5").clips] == [
        f"b.hdf5#walk/{k}" for k in range(4)
    ]
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.write(tmp_path / "a.h5", "inner/a.h5")
    np.testing.assert_array_equal(pixels(tmp_path / "z.zip"), CLIPS)
    (tmp_path / "cut.h5").write_bytes((tmp_path / "a.h5").read_bytes()[:-3000])
    assert "cut.h5" in reason(tmp_path / "cut.h5")


def test_hdf5_shows_nothing_of_other_files(tmp_path):
    h5py = pytest.importorskip("h5py")
    (tmp_path / "secret").write_bytes(CLIPS.tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["clips"] = CLIPS
    with h5py.File(tmp_path / "external.h5", "w") as file:
        file.create_dataset("clips", CLIPS.shape, "u1", external=[(str(tmp_path / "secret"), 0, CLIPS.size)])
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout(CLIPS.shape, "u1")
        layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "clips", CLIPS.shape)
        file.create_virtual_dataset("clips", layout)
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["clips"] = h5py.ExternalLink(tmp_path / "other.h5", "clips")
    assert "lies in other files" in reason(tmp_path / "external.h5")
    assert "lies in other files" in reason(tmp_path / "virtual.h5")
    assert "none of which" in reason(tmp_path / "link.h5")


def test_hdf5_without_h5py_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "h5py.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "none"))
    hdf5_file._end()
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert "pip install h5py" in reason(tmp_path / "a.h5")


@pytest.mark.parametrize(
    "act",
    ["os._exit(3)", "bytearray(2**40)", "os.write(1, b'x' * 9)", "sys.stdout.close()", "time.sleep(600)"],
)
def test_hdf5_that_hangs_or_ends_its_process_costs_one_clip(act, tmp_path, monkeypatch):
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "h5py.py").write_text(
        f"import os, sys, time\nclass File:\n def __init__(self, *_): {act}\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fake"))
    hdf5_file._end()
    with hdf5_file._child():
        pass  # has started, so that the deadline counts for its answer only
    monkeypatch.setattr(hdf5_file, "MAX_SECONDS", 0.3)
    (tmp_path / "a.h5").write_bytes(b"x")
    assert "a.h5" in reason(tmp_path / "a.h5")
    hdf5_file._end()


def test_hdf5_is_read_after_a_fork(tmp_path):
    """As decoding workers do, which must not share the process of their parent."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["clips"] = CLIPS
    clips = open_source(tmp_path / "a.h5").clips
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map(_first_frame, clips)
    np.testing.assert_array_equal(found, CLIPS[:, 0])
    np.testing.assert_array_equal(pixels(tmp_path / "a.h5"), CLIPS)


def _first_frame(clip):
    return clip.read([0])[0]
