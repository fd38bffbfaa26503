"""Typed description of one training run. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from vgbench.clips.axes import GivenAxes
from vgbench.clips.value_range import GivenRange
from vgbench.config import Config
from vgbench.reference_models.config import (
    DiscriminatorConfig,
    LossConfig,
    ModelConfig,
    RegulariserConfig,
    require_known,
)
from vgbench.reference_models.parts import REGULARISERS

Positive = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]

AUGMENTATIONS: dict[str, str] = {
    "colour": "vgbench.training.augment:colour",
    "translation": "vgbench.training.augment:translation",
    "cutout": "vgbench.training.augment:cutout",
}
"""Function of each name in `augment`, in the order in which they are applied."""

Augmentation = Annotated[str, AfterValidator(lambda name: require_known("augmentation", name, AUGMENTATIONS))]

LIPSCHITZ = (
    "gradient-penalty",
    *sorted(name for name, one in REGULARISERS.items() if one.kind == "constraint"),
)
"""Regularisers that keep the critic of a Wasserstein loss Lipschitz."""

MAY_CHANGE = {  # "data" because folders move, learning rates because a run diverges if they are too high
    "data",
    "value_range",
    "axes",
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
    "patience",
    "tensorboard",
    "wandb",
}
"""Keys that may be changed when a run is resumed; the others determine the weights."""


class OptimiserConfig(Config):
    """Two optimisers of the same kind, each with its own learning rate (TTUR, Heusel et al. 2017).

    Attributes:
        betas: of Adam; for RMSprop the second is its smoothing constant.
        schedule: of the learning rates; "linear" and "cosine" reach zero after `steps`, which must be set.
        gradient_clip: maximal norm of a network's gradient; by default it is not clipped.
    """

    kind: Literal["adam", "rmsprop"] = "adam"
    generator_lr: PositiveFloat = 2e-4
    discriminator_lr: PositiveFloat = 2e-4
    betas: tuple[Share, Share] = (0.0, 0.9)
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    gradient_clip: PositiveFloat | None = None


class EmaConfig(Config):
    """Moving average of the generator's weights, which is what is sampled and scored.

    Attributes:
        half_life_clips: number of training clips after which the influence of old weights is halved.
        ramp_up: the half-life is at most this share of the clips seen so far, so that the average of a short
            run does not lag behind.
    """

    half_life_clips: PositiveFloat = 2000
    ramp_up: PositiveFloat = 0.05


class TrainConfig(ModelConfig):
    """One training run: the model (see `ModelConfig`), the data and the training.

    Attributes:
        data: folder, archive, URL or `builtin:NAME`, see `vgbench.clips.open_source`.
        value_range: range of float arrays in the data, such as [0, 1].
        axes: names of the axes of arrays in the data, such as TNHW; see `vgbench.clips.axes`.
        labels: condition on the classes of the data; `classes` is then filled in from the data.
        stride: frames of the data from one training frame to the next.
        flip: mirror half of the clips.
        batch: clips per step, over all processes and micro-batches.
        micro_batch: clips per process computed at once; gradients of the parts of a batch are accumulated.
        steps: maximal number of generator steps; None for no limit.
        minutes: maximal training time, over all parts of a resumed run; None for no limit. One of the two
            must be set.
        seed: determines the initial weights and all random draws of every step.
        discriminators: one or more; the adversarial loss of a clip is their weighted sum.
        discriminator_steps: steps of the discriminators before each step of the generator.
        augment: differentiable augmentation of what discriminators see, for real and generated clips alike
            (Zhao et al. 2020); all frames of a clip are changed in the same way.
        augment_target: augment each clip with a probability that adapts itself (Karras et al. 2020, arXiv
            2006.06676): it rises while the mean sign of the real scores is above this target, and falls while
            it is below. The paper uses 0.6. By default, every clip is augmented.
        augment_clips: number of clips in which that probability can rise from 0 to 1.
        precision: "bf16" computes convolutions in bfloat16; gradient penalties stay in float32.
        device: device that trains the networks, see `device_of`; "auto" uses a GPU if there is one.
        threads: CPU threads; by default PyTorch chooses (all cores that this process may use). Threads wait
            for each other actively, so beside another busy process fewer threads are faster.
        channels_last: keep convolution weights in a layout that suits vector units; this only changes
            rounding.
        compile: run decoder and discriminators through `torch.compile`, which needs a C++ compiler and a
            minute at the start. Discriminators with a gradient penalty are not compiled, because compiled
            networks have no second derivatives.
        cache_gigabytes: decoded clips kept in memory; other clips are decoded each time they are used.
        log_steps: steps between two lines of log.jsonl.
        checkpoint_minutes: time between two checkpoints.
        sample_minutes: time between two grids of samples.
        score_minutes: time between two scores, if there is a score function.
        patience: training ends after so many scores in a row that are not better than the best one; None for
            no such limit. One of several equal scores counts as the best.
        tensorboard: also write the log and the samples for TensorBoard.
        wandb: name of a Weights & Biases project that the log and the samples are sent to.
    """

    data: str = "builtin:moving-shapes"
    value_range: GivenRange = None
    axes: GivenAxes | None = None
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
    augment_target: Annotated[float, Field(gt=0, lt=1)] | None = None
    augment_clips: PositiveFloat = 500_000
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
    patience: Positive | None = None
    tensorboard: bool = False
    wandb: str | None = None

    def is_regularised_by(self, name: str) -> bool:
        """Whether the regulariser of this name is used."""
        return any(one.name == name for one in self.regularisers)

    @property
    def gradient_penalties(self) -> list[str]:
        """Names of the regularisers that differentiate scores with respect to clips."""
        return sorted(one.name for one in self.regularisers if one.kind == "penalty")

    @property
    def noise_frames(self) -> int:
        """Frames that motion noise is drawn for: those of the longest clip that a regulariser looks at."""
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
        batch_norms = [norm for norm in norms if norm in ("batch", "batch-scale")]
        if self.gradient_penalties and batch_norms:
            raise ValueError(
                f"regularisers.name = {self.gradient_penalties[0]} with discriminators.norm = "
                f"{batch_norms[0]}: batch norm makes the score of a clip depend on other clips, so its "
                "gradient with respect to one clip has no meaning; use layer, group or none"
            )
        if "gradient-penalty" in names and any(one.deviation for one in self.discriminators):
            raise ValueError(
                "regularisers.name = gradient-penalty with discriminators.deviation = true: the deviation "
                "over the batch makes the score of a clip depend on other clips; use r1, or deviation = false"
            )
        clipping = sorted({"weight-clipping", "singular-value-clipping"} & set(names))
        if clipping and "equalised" in norms:
            raise ValueError(
                f"regularisers.name = {clipping[0]} with discriminators.norm = equalised: the stored weights "
                "are not those that the layers compute with; use another norm"
            )
        if "singular-value-clipping" in names and "spectral" in norms:
            raise ValueError(
                "regularisers.name = singular-value-clipping with discriminators.norm = spectral: spectral "
                "norm recomputes the weights, so clipping has no effect; use one of them"
            )
        if self.loss.name == "wgan":
            self._check_wasserstein(names, norms)
        if (schedule := self.optimiser.schedule) != "constant" and self.steps is None:
            raise ValueError(f"optimiser.schedule = {schedule} needs steps, because it ends at the last step")
        if self.micro_batch and self.batch % self.micro_batch:
            raise ValueError(f"batch = {self.batch} is not a multiple of micro_batch = {self.micro_batch}")
        if self.augment_target is not None and not self.augment:
            raise ValueError(
                f"augment_target = {self.augment_target:g}, but augment names no augmentation; "
                f"use some of {', '.join(AUGMENTATIONS)}"
            )
        if "mode-seeking" in names and (self.micro_batch or self.batch) < 2:
            raise ValueError("regularisers.name = mode-seeking compares pairs: batch must be at least 2")
        if self.classes and not self.labels:
            raise ValueError("classes are named, but labels = false")
        if self.labels and self.generator.categories:
            raise ValueError(
                "labels = true and generator.categories > 0: with labels, the classes are the categories"
            )
        if "categorical-information" in names and not (self.labels or self.generator.categories):
            raise ValueError(
                "regularisers.name = categorical-information needs labels = true or generator.categories > 0"
            )
        if ("first-frame" in names) != self.generator.first_frame:
            raise ValueError("generator.first_frame = true and the regulariser first-frame need each other")
        return self

    def _check_wasserstein(self, names: Sequence[str], norms: Sequence[str]) -> None:
        spectral = bool(norms) and all(norm == "spectral" for norm in norms)
        found = [name for name in LIPSCHITZ if name in names] + ["norm: spectral"] * spectral
        if len(found) != 1:
            raise ValueError(
                "loss.name = wgan needs exactly one way to keep each discriminator Lipschitz: one of the "
                f"regularisers {', '.join(LIPSCHITZ)}, or discriminators.norm = spectral; "
                f"found {', '.join(found) or 'none'}"
            )

    @property
    def model(self) -> ModelConfig:
        """The part that the generator's weights depend on."""
        return ModelConfig(size=self.size, frames=self.frames, classes=self.classes, generator=self.generator)


def fixed_differences(before: TrainConfig, now: TrainConfig) -> list[str]:
    """Return the keys that differ and are not in `MAY_CHANGE`, such as `generator.channels`."""
    found = _differences(before.model_dump(mode="json"), now.model_dump(mode="json"))
    return [key for key in found if key not in MAY_CHANGE]


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _differences(old, new, f"{above}{key}.")
        elif old != new:
            yield above + key
