"""Typed description of one training run. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from vgbench.config import Config
from vgbench.reference_models.config import (
    DiscriminatorConfig,
    LossConfig,
    ModelConfig,
    RegulariserConfig,
)

Positive = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]

GRADIENT_PENALTIES = {"gradient-penalty", "r1", "r2"}
CONSTRAINT_NAMES = {"weight-clipping", "singular-value-clipping"}

MAY_CHANGE = {  # "data" because folders move, learning rates because too high ones diverge
    "data",
    "optimiser.generator_lr",
    "optimiser.discriminator_lr",
    "steps",
    "minutes",
    "micro_batch",
    "device",
    "threads",
    "channels_last",
    "compile",
    "cache_gigabytes",
    "log_steps",
    "checkpoint_minutes",
    "sample_minutes",
    "score_minutes",
    "tensorboard",
    "wandb",
}
"""Keys that a resumed run may set anew; the others decide what the weights become."""

Augmentation = Literal["colour", "translation", "cutout"]


class OptimiserConfig(Config):
    """Two optimisers of one kind, each with its own learning rate (TTUR, Heusel et al. 2017).

    Attributes:
        betas: of Adam; for RMSprop the second is its smoothing.
        schedule: "linear" and "cosine" go to zero over `steps`, which must then be set.
        gradient_clip: largest norm of a network's gradient; not clipped without it.
    """

    kind: Literal["adam", "rmsprop"] = "adam"
    generator_lr: PositiveFloat = 2e-4
    discriminator_lr: PositiveFloat = 2e-4
    betas: tuple[Share, Share] = (0.0, 0.9)
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    gradient_clip: PositiveFloat | None = None


class EmaConfig(Config):
    """Moving average of the generator's weights, whose clips are what gets sampled and scored.

    Attributes:
        half_life_clips: training clips after which old weights count half.
        ramp_up: the half-life is at most this share of the clips seen so far, so that a short run's average
            does not lag behind the whole run.
    """

    half_life_clips: PositiveFloat = 2000
    ramp_up: PositiveFloat = 0.05


class TrainConfig(ModelConfig):
    """One training run: the model (see `ModelConfig`), the data and how to train.

    Attributes:
        data: what `vgbench.clips.open_source` takes: folder, archive, URL, `builtin:NAME`.
        labels: condition on the data's classes; `classes` is then filled from the data.
        stride: frames of the data from one training frame to the next.
        flip: mirror half of the clips.
        batch: clips per step, over all processes and micro-batches.
        micro_batch: clips per process computed at once; smaller values accumulate gradients.
        steps: generator steps; None for no limit.
        minutes: of training, summed over resumed runs; None for no limit. One of the two must be set.
        seed: decides initial weights and every draw of every step.
        discriminators: one or several; a clip's adversarial loss is their weighted sum.
        discriminator_steps: of the discriminators before each step of the generator.
        augment: differentiable augmentation of what discriminators see, real and fake alike (Zhao et al.
            2020); every frame of a clip gets the same change.
        precision: "bf16" runs convolutions in bfloat16; gradient penalties stay in float32.
        device: where networks are trained, see `device_of`; "auto" takes a GPU where there is one.
        threads: of the CPU; PyTorch's own choice (all cores this process may use) without it. Threads wait
            for each other busily, so beside another busy process fewer are faster.
        channels_last: keep convolution weights in the layout that vector units like; only rounding differs.
        compile: run decoder and discriminators through `torch.compile`, which needs a C++ compiler and a
            minute at the start. Discriminators under a gradient penalty stay as they are: it has no second
            derivatives.
        cache_gigabytes: decoded clips kept in memory; others are decoded again at every use.
        log_steps: steps between two lines of log.jsonl.
        checkpoint_minutes: between two checkpoints.
        sample_minutes: between two grids of samples.
        score_minutes: between two calls of the score function, where one is given.
        tensorboard: write the log and the samples for TensorBoard too.
        wandb: name of a Weights & Biases project to send the log and the samples to.
    """

    data: str = "builtin:moving-shapes"
    labels: bool = False
    stride: Positive = 1
    flip: bool = False
    batch: Positive = 16
    micro_batch: Positive | None = None
    steps: Positive | None = None
    minutes: PositiveFloat | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    discriminators: tuple[DiscriminatorConfig, ...] = (DiscriminatorConfig(),)
    discriminator_steps: Positive = 1
    loss: LossConfig = LossConfig()
    regularisers: tuple[RegulariserConfig, ...] = ()
    optimiser: OptimiserConfig = OptimiserConfig()
    ema: EmaConfig = EmaConfig()
    augment: tuple[Augmentation, ...] = ()
    precision: Literal["fp32", "bf16"] = "fp32"
    device: str = "auto"
    threads: Positive | None = None
    channels_last: bool = True
    compile: bool = False
    cache_gigabytes: Annotated[float, Field(ge=0)] = 2.0
    log_steps: Positive = 20
    checkpoint_minutes: PositiveFloat = 1.0
    sample_minutes: PositiveFloat = 0.5
    score_minutes: PositiveFloat = 5.0
    tensorboard: bool = False
    wandb: str | None = None

    def regularised_by(self, *names: str) -> bool:
        return any(one.name in names for one in self.regularisers)

    @property
    def noise_frames(self) -> int:
        """Frames that motion noise is drawn for: the longest clip whose codes a regulariser looks at."""
        lengths: list[int | None] = [
            one.options.get("length") for one in self.regularisers if one.name == "code-periodicity"
        ]
        return max([self.frames, *(length for length in lengths if length)])

    @model_validator(mode="after")
    def _check(self) -> TrainConfig:
        names = [one.name for one in self.regularisers]
        norms = [one.norm for one in self.discriminators]
        if not self.discriminators:
            raise ValueError("discriminators: at least one is needed")
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"regularisers: {', '.join(repeated)} is given twice")
        if (penalty := GRADIENT_PENALTIES.intersection(names)) and "batch" in norms:
            raise ValueError(
                f"regularisers.name = {sorted(penalty)[0]} with discriminators.norm = batch: batch norm "
                "makes a clip's score depend on other clips, so its gradient means nothing; "
                "use layer, group or none"
            )
        if "singular-value-clipping" in names and "spectral" in norms:
            raise ValueError(
                "regularisers.name = singular-value-clipping with discriminators.norm = spectral: the norm "
                "computes weights anew, so nothing is left to clip; use one of them"
            )
        if self.loss.name == "wgan":
            self._check_wasserstein(names, norms)
        if (schedule := self.optimiser.schedule) != "constant" and self.steps is None:
            raise ValueError(f"optimiser.schedule = {schedule} needs steps, since it ends at the last one")
        if self.micro_batch and self.batch % self.micro_batch:
            raise ValueError(f"batch = {self.batch} is not a multiple of micro_batch = {self.micro_batch}")
        if "mode-seeking" in names and (self.micro_batch or self.batch) < 2:
            raise ValueError("regularisers.name = mode-seeking compares pairs: batch must be at least 2")
        if self.classes and not self.labels:
            raise ValueError("classes are named, but labels = false")
        if self.labels and self.generator.categories:
            raise ValueError("labels = true and generator.categories > 0: the labels are the categories then")
        if "categorical-information" in names and not (self.labels or self.generator.categories):
            raise ValueError(
                "regularisers.name = categorical-information needs labels = true or generator.categories > 0"
            )
        if ("first-frame" in names) != self.generator.first_frame:
            raise ValueError("generator.first_frame = true and the regulariser first-frame belong together")
        return self

    def _check_wasserstein(self, names: Sequence[str], norms: Sequence[str]) -> None:
        spectral = bool(norms) and all(norm == "spectral" for norm in norms)
        found = [name for name in ("gradient-penalty", *sorted(CONSTRAINT_NAMES)) if name in names]
        found += ["norm: spectral"] if spectral else []
        if len(found) != 1:
            raise ValueError(
                "loss.name = wgan needs exactly one way to keep every critic Lipschitz: one of the "
                "regularisers gradient-penalty, weight-clipping, singular-value-clipping, "
                "or discriminators.norm = spectral; "
                f"found {', '.join(found) or 'none'}"
            )

    @property
    def model(self) -> ModelConfig:
        """The part that the generator's weights depend on."""
        return ModelConfig(size=self.size, frames=self.frames, classes=self.classes, generator=self.generator)


def fixed_differences(before: TrainConfig, now: TrainConfig) -> list[str]:
    """Keys, such as `generator.channels`, that differ although they are none of `MAY_CHANGE`."""
    found = _differences(before.model_dump(mode="json"), now.model_dump(mode="json"))
    return [key for key in found if key not in MAY_CHANGE]


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _differences(old, new, f"{above}{key}.")
        elif old != new:
            yield above + key
