"""The score that a training run takes of its generator now and then, and chooses its best checkpoint by."""

from __future__ import annotations

import tempfile
import typing
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vgbench.clips import open_source
from vgbench.clips.clip import ClipSource, Frames
from vgbench.evaluation.evaluate import evaluate
from vgbench.evaluation.feature_store import FeatureStore
from vgbench.protocol import load
from vgbench.reference_models.generator import Generator
from vgbench.training.data import Windows


class Sampler(typing.Protocol):
    """Anything that samples clips, such as a generator of `vgbench.reference_models`."""

    def sample(self, n: int, seed: int = 0) -> npt.NDArray[np.uint8]: ...


def generator_score(
    real: Any, metric: str = "fvd", clips: int = 512, protocol: str = "quick"
) -> Callable[[Sampler], float]:
    """Return a function that scores a generator during training; lower is better.

    It always scores the same latents against the same real windows, whose features are computed once. A
    generator that continues a first frame gets those of real clips. Clips shorter than the protocol's windows
    are scored whole, against real windows of their length.

    Args:
        real: what `evaluate` takes.
        metric: a metric for which lower is better.
        clips: windows a side; fewer real ones where there are no more. A Fréchet distance needs about twice
            as many as features, of which the embedded extractor has 256.
        protocol: what else is fixed.
    """
    settings = [f"clips.generated={clips}", f"clips.real={clips}", "clips.least=2"]
    longest = load(protocol).windows.frames
    source = open_source(real)
    folder = tempfile.TemporaryDirectory(prefix="vgbench-")  # a checkpoint's clips are never seen again
    store = FeatureStore(Path(folder.name))

    def score(generator: Sampler, _keep: object = folder) -> float:
        sampled = score_samples(generator, source, clips)
        window = f"windows.frames={min(longest, sampled.shape[1])}"
        record = evaluate(sampled, source, protocol, [metric], settings=[*settings, window], store=store)
        return record.scores[metric].best_estimate

    return score


def score_samples(generator: Sampler, real: ClipSource, count: int) -> Frames:
    """Sample the clips that a score during training looks at: the same latents every time.

    A generator that continues a first frame gets those of real windows, and their classes where it has them,
    as in training.

    Returns:
        uint8 [count, T, H, W, 3].

    Raises:
        NotEnoughClips: no real clip is as long as the generator's.
    """
    if not isinstance(generator, Generator) or generator.encoder is None:
        return generator.sample(count, seed=0)
    config = generator.config
    classes = config.classes if {clip.label for clip in real.clips} <= set(config.classes) else ()
    windows = Windows(real, config.size, config.frames, 1, 0, classes=classes, cache_gigabytes=0)
    with closing(windows):
        batch = windows.batch(range(count))
    label = batch.labels.tolist() if classes else None
    return generator.sample(count, seed=0, label=label, first_frame=batch.clips[:, 0])
