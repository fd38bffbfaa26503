from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from vgbench.errors import VgbenchError
from vgbench.storage.tensor_file import load_metadata, load_tensors, save_tensors

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b/0": torch.tensor(3), "half": torch.ones(2).bfloat16()}


def test_tensors_and_text_come_back(tmp_path):
    save_tensors(tmp_path / "x.safetensors", TENSORS, {"format": "test"})
    tensors, metadata = load_tensors(tmp_path / "x.safetensors")
    assert metadata == {"format": "test"}
    assert all(torch.equal(tensors[name], tensor) for name, tensor in TENSORS.items())


def test_any_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "x.safetensors"
    save_tensors(path, TENSORS, {"format": "test"})
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    places = [*range(header, len(whole)), whole.index(b"test")]
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(VgbenchError, match=r"x\.safetensors: damaged"):
            load_tensors(path)


def test_files_of_other_programs_have_no_hash(tmp_path):
    save_file(TENSORS, tmp_path / "x.safetensors")
    assert load_tensors(tmp_path / "x.safetensors")[0].keys() == TENSORS.keys()


@pytest.mark.parametrize("data", [b"", b"not safetensors", b"\xff" * 40])
def test_what_is_no_safetensors_is_named(tmp_path, data):
    (tmp_path / "x.safetensors").write_bytes(data)
    with pytest.raises(VgbenchError, match=r"x\.safetensors: cannot be read"):
        load_tensors(tmp_path / "x.safetensors")


def test_the_text_alone_is_read_without_the_hash(tmp_path):
    save_tensors(tmp_path / "x.safetensors", TENSORS, {"format": "test"})
    assert load_metadata(tmp_path / "x.safetensors") == {"format": "test"}


@pytest.mark.parametrize("read", [load_tensors, load_metadata])
def test_an_absent_file_is_not_called_damaged(tmp_path, read):
    with pytest.raises(VgbenchError, match=r"x\.safetensors: there is no such file"):
        read(tmp_path / "x.safetensors")
