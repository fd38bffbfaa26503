"""Typed description of a model: generator, discriminators, loss and regularisers. Imports no torch."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from vgbench.config import Config
from vgbench.named import unknown_name
from vgbench.reference_models.parts import DECODERS, DISCRIMINATORS, LOSSES, MOTIONS, REGULARISERS

Positive = Annotated[int, Field(ge=1)]


def require_known(kind: str, name: str, known: Collection[str]) -> str:
    """Return the name if it is known; raise the `ValueError` that pydantic expects otherwise."""
    if name not in known:
        error = unknown_name(kind, name, known)
        raise ValueError(f"{error.message}; {error.remedy}")
    return name


def require_known_or_own(kind: str, name: str, known: Collection[str]) -> str:
    """Like `require_known`, but also accept `package.module:Object`."""
    return name if ":" in name else require_known(kind, name, known)


class MotionConfig(Config):
    """How a clip moves: one motion code per frame, made from noise.

    Attributes:
        name: one of `MOTIONS`, or `package.module:Class`, which is built as `Class(config, frames)`. "none"
            makes no codes, for a decoder of your own that makes whole clips.
        noise_dim: dimension of the noise of one step (of one anchor for "fourier").
        code_dim: dimension of the motion code of a frame, and hidden size of "gru" and "lstm". "static" and
            "independent" use the noise itself as the code.
        layers: number of transformer blocks.
        anchor_distance: training frames between two noise anchors of "fourier".
        options: further keyword arguments of the class; "gru" takes `start`, and "stylegan-v" takes `waves`,
            `longest_period` and `longest`.
    """

    name: str = "gru"
    noise_dim: Positive = 16
    code_dim: Positive = 32
    layers: Positive = 2
    anchor_distance: Positive = 8
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return require_known_or_own("motion module", name, MOTIONS)


class DecoderConfig(Config):
    """What turns the content latent and the motion codes into pixels.

    Attributes:
        name: "auto" for the decoder that belongs to the motion module; one of `DECODERS`; or
            `package.module:Class`, which is built as `Class(config, size, frames, content_dim, code_dim)`.
        norm: normalisation after each hidden layer.
        upsample: "deconv" is a transposed convolution of stride 2; "nearest" repeats pixels and convolves,
            which cannot produce checkerboard patterns and takes about twice as long.
        skips: add up images made at every resolution (StyleGAN2's skip generator), so that colour and
            position are learned before detail.
        spectral: divide the weights of all layers by their largest singular value, as for the norm "spectral"
            of discriminators (SAGAN, Zhang et al. 2019).
        options: further keyword arguments of the class, see `vgbench list decoders`.

    "implicit" computes every pixel separately, so it ignores `norm`, `upsample` and `skips`. The 3-D decoders
    of "conv3d" and "two-stream" upsample by "deconv" only.
    """

    name: str = "auto"
    norm: Literal["batch", "group", "none"] = "batch"
    upsample: Literal["deconv", "nearest"] = "deconv"
    skips: bool = False
    spectral: bool = False
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return require_known_or_own("decoder", name, ("auto", *DECODERS))


class GeneratorConfig(Config):
    """A generator: content latent, motion module and decoder.

    `package.module:Class` in place of the mapping is a network of your own for the whole clip: a decoder of
    that name after the motion module "none".

    Attributes:
        content_dim: dimension of the latent that stays the same for all frames of a clip.
        channels: feature maps of the last hidden layer; doubled at every layer towards the input, at most
            eightfold.
        motion: see `MotionConfig`.
        decoder: see `DecoderConfig`.
        categories: size of a categorical latent for data without labels (InfoGAN); 0 for none.
        first_frame: condition on the first frame of a clip.
    """

    content_dim: Positive = 32
    channels: Positive = 32
    motion: MotionConfig = MotionConfig()
    decoder: DecoderConfig = DecoderConfig()
    categories: Annotated[int, Field(ge=0)] = 0
    first_frame: bool = False

    @model_validator(mode="before")
    @classmethod
    def _own_network(cls, values: Any) -> Any:
        if not isinstance(values, str):
            return values
        if ":" not in values:
            raise ValueError(
                "a network of your own is package.module:Class; otherwise give motion and decoder"
            )
        return {"motion": {"name": "none"}, "decoder": {"name": values}}


class DiscriminatorConfig(Config):
    """One discriminator. A model may have several; each has its own view of the clip. Scores are raw.

    Attributes:
        name: one of `DISCRIMINATORS`, or `package.module:Class`, which is built as `Class(config, size,
            frames)`.
        channels: feature maps of the first layer; doubled at every layer, at most eightfold.
        norm: normalisation; "spectral" divides each weight by its largest singular value (Miyato et al.
            2018), "equalised" gives all layers the same relative learning rate (Karras et al. 2018), and
            "batch-scale" is a batch norm without shift, as in TGAN.
        blocks: "plain" convolutions of stride 2, or "residual" blocks as in StyleGAN2.
        deviation: append a feature map with the standard deviation over the batch (Karras et al. 2018).
        bias: convolutions have a bias.
        noise: standard deviation of normal noise that is added before each convolution of stride 2 during
            training (MoCoGAN); 0 for none.
        weights: initial weights: those of "pytorch", "normal" from N(0, 0.01²) as in VGAN, or "uniform" in
            [−0.01, 0.01] as in TGAN.
        frames: number of frames that "image", "spatial" and "time-conditioned" draw from each clip, and that
            the spatial stream of "two-stream" sees.
        weight: factor of this discriminator's loss in the generator's loss.
        motion_from: from what "embedding-motion" estimates motion.
        options: further keyword arguments of the class; "video3d" takes `time_stride`, `last_time` and
            `logits`, "temporal" takes `time_stride`, "image" and "spatial" take `patches`, and
            "embedding-motion" takes `embedding` ("trunk" or "c3d").
    """

    name: str = "video3d"
    channels: Positive = 32
    norm: Literal["none", "batch", "batch-scale", "layer", "group", "spectral", "equalised"] = "spectral"
    blocks: Literal["plain", "residual"] = "plain"
    deviation: bool = False
    bias: bool = True
    noise: Annotated[float, Field(ge=0)] = 0.0
    weights: Literal["pytorch", "normal", "uniform"] = "pytorch"
    frames: Positive | None = None
    weight: Annotated[float, Field(gt=0)] = 1.0
    motion_from: Literal["embedding", "frame-difference", "optical-flow"] = "embedding"
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return require_known_or_own("discriminator", name, DISCRIMINATORS)

    @model_validator(mode="after")
    def _fitting(self) -> DiscriminatorConfig:
        if self.blocks == "residual" and (self.noise or not self.bias):
            raise ValueError(
                f"blocks = residual with noise = {self.noise:g}, bias = {str(self.bias).lower()}: "
                "residual blocks have biases and add no noise; use blocks = plain"
            )
        if self.weights != "pytorch" and self.norm in ("spectral", "equalised"):
            raise ValueError(
                f"weights = {self.weights} with norm = {self.norm}: this norm sets the weights itself; "
                "use another norm, or weights = pytorch"
            )
        return self


class LossConfig(Config):
    """Adversarial loss: one of `LOSSES`, or `package.module:Object` for a `losses.Loss` of your own."""

    name: str = "hinge"

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return require_known_or_own("loss", name, LOSSES)


class RegulariserConfig(Config):
    """One regulariser.

    Attributes:
        name: one of `REGULARISERS`.
        weight: factor of the term; the bound for "weight-clipping" and "singular-value-clipping". The default
            is that of the regulariser.
        interval: the regulariser is computed every so many steps, with the weight multiplied by the interval
            (lazy regularisation, Karras et al. 2020). Constraints on weights are applied every so many steps,
            with the bound as it is.
        options: keyword arguments of the regulariser's function, such as `{mode: avoid}`.
    """

    name: str
    weight: Annotated[float, Field(gt=0)] = 1.0
    interval: Positive = 1
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _default_weight(cls, values: Any) -> Any:
        if isinstance(values, dict) and "weight" not in values:
            shipped = REGULARISERS.get(str(values.get("name")))
            return values if shipped is None else {**values, "weight": shipped.weight}
        return values

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return require_known("regulariser", name, REGULARISERS)

    @property
    def kind(self) -> Literal["penalty", "term", "constraint"]:
        """When the regulariser is computed, see `parts.Regulariser`."""
        return REGULARISERS[self.name].kind

    def is_due(self, step: int) -> bool:
        """Whether the regulariser is computed at a step, counted from 0."""
        return step % self.interval == 0


class ModelConfig(Config):
    """Everything that the weights of a generator depend on; part of the metadata of `generator.safetensors`.

    Attributes:
        size: side length in pixels; a power of two, at least 16.
        frames: length of the training clips.
        classes: names of the labels, in the order of their indices; empty without labels.
        generator: see `GeneratorConfig`.
    """

    size: Annotated[int, Field(ge=16)] = 32
    frames: Annotated[int, Field(ge=2)] = 16
    classes: tuple[str, ...] = ()
    generator: GeneratorConfig = GeneratorConfig()

    @field_validator("size")
    @classmethod
    def _power_of_two(cls, size: int) -> int:
        if size & (size - 1):
            raise ValueError("must be a power of two: 16, 32, 64, 128, 256, ...")
        return size

    @property
    def label_count(self) -> int:
        """Number of classes that the generator is conditioned on, from labels or as a categorical latent."""
        return len(self.classes) or self.generator.categories
