"""Typed description of a generator, its discriminators, the loss and the regularisers. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from vgbench.config import Config
from vgbench.named import unknown_name

Positive = Annotated[int, Field(ge=1)]

LOSS_NAMES = (
    "minimax",
    "non-saturating",
    "lsgan",
    "wgan",
    "hinge",
    "ralsgan",
    "rahinge",
    "rans",
)

MOTION_NAMES = (
    "none",
    "static",
    "independent",
    "gru",
    "lstm",
    "temporal-deconv",
    "transformer",
    "fourier",
    "conv3d",
    "two-stream",
    "conv-gru",
    "implicit",
    "flow-warp",
    "temporal-shift",
)

DECODER_NAMES = (
    "frame",
    "conv3d",
    "two-stream",
    "conv-gru",
    "implicit",
    "flow-warp",
    "temporal-shift",
)

DISCRIMINATOR_NAMES = (
    "image",
    "video3d",
    "spatial",
    "temporal",
    "embedding-motion",
    "time-conditioned",
)

REGULARISER_WEIGHTS: dict[str, float] = {
    "gradient-penalty": 10.0,
    "r1": 1.0,
    "r2": 1.0,
    "weight-clipping": 0.01,
    "singular-value-clipping": 1.0,
    "temporal-smoothness": 1.0,
    "periodicity": 0.5,
    "code-periodicity": 0.5,
    "feature-matching": 1.0,
    "mode-seeking": 1.0,
    "categorical-information": 1.0,
    "first-frame": 10.0,
    "mask-sparsity": 0.1,
    "flow-smoothness": 0.1,
}
"""Regularisers that vgbench ships, with the weight that each has unless the config says otherwise."""


class MotionConfig(Config):
    """How a clip moves: one code per frame, made from noise.

    Attributes:
        name: one of `MOTION_NAMES`, or `package.module:Class` built as `Class(config, frames)`. "none" makes
            no codes, for a decoder of your own that makes whole clips.
        noise_dim: dimension of the noise of one step (one anchor for "fourier").
        code_dim: dimension of the code that a frame's decoder receives; the hidden size of "gru" and "lstm".
            "static" and "independent" use the noise itself as the code.
        layers: transformer blocks.
        anchor_distance: training frames between two noise anchors of "fourier".
        options: further keyword arguments for a class of your own.
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
        return known_name("motion module", name, MOTION_NAMES)


class DecoderConfig(Config):
    """What turns content and codes into pixels.

    Attributes:
        name: "auto" takes the decoder that belongs to the motion module; else one of `DECODER_NAMES`, or
            `package.module:Class` built as `Class(config, size, frames, content_dim, code_dim)`.
        norm: after each hidden layer.
        upsample: "deconv" is a stride 2 transposed convolution; "nearest" repeats pixels and convolves, which
            cannot make a checkerboard and costs about twice the time.
        skips: add up pictures made at every resolution (StyleGAN2's skip generator), so that colour and place
            are learned before detail.
        options: further keyword arguments for a class of your own.

    "implicit" computes every pixel by itself: `norm`, `upsample` and `skips` have no place there. The 3-D
    decoders of "conv3d" and "two-stream" upsample by "deconv" only.
    """

    name: str = "auto"
    norm: Literal["batch", "group", "none"] = "batch"
    upsample: Literal["deconv", "nearest"] = "deconv"
    skips: bool = False
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return known_name("decoder", name, ("auto", *DECODER_NAMES))


class GeneratorConfig(Config):
    """A generator = content latent + motion module + decoder.

    `package.module:Class` in place of the mapping is a network of your own for the whole clip: a decoder of
    that name behind the motion module "none".

    Attributes:
        content_dim: dimension of the latent that stays the same for all frames of a clip.
        channels: feature maps of the last hidden layer; doubled towards the input, at most eightfold.
        motion: see `MotionConfig`.
        decoder: see `DecoderConfig`.
        categories: size of a categorical latent for unlabelled data (InfoGAN); 0 without.
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
            raise ValueError("a network of your own is package.module:Class; else give motion and decoder")
        return {"motion": {"name": "none"}, "decoder": {"name": values}}


class DiscriminatorConfig(Config):
    """One discriminator. A model may have several; each has its own view of the clip. Scores are raw.

    Attributes:
        name: one of `DISCRIMINATOR_NAMES`, or `package.module:Class` built as `Class(config, size, frames)`.
        channels: feature maps of the first layer; doubled at every layer, at most eightfold.
        norm: "spectral" divides each weight by its largest singular value (Miyato et al. 2018).
        frames: frames that "image", "spatial" and "time-conditioned" draw from each clip.
        weight: factor of this discriminator's loss in the generator's loss.
        motion_from: what "embedding-motion" estimates motion from.
        options: further keyword arguments of the class; "video3d" and "temporal" take `time_stride`, "image"
            and "spatial" take `patches`.
    """

    name: str = "video3d"
    channels: Positive = 32
    norm: Literal["none", "batch", "layer", "group", "spectral"] = "spectral"
    frames: Positive | None = None
    weight: Annotated[float, Field(gt=0)] = 1.0
    motion_from: Literal["embedding", "frame-difference", "optical-flow"] = "embedding"
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return known_name("discriminator", name, DISCRIMINATOR_NAMES)


class LossConfig(Config):
    """Adversarial loss: one of `LOSS_NAMES`, or `package.module:Object` with the shape of `losses.Loss`."""

    name: str = "hinge"

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return known_name("loss", name, LOSS_NAMES)


class RegulariserConfig(Config):
    """One regulariser.

    Attributes:
        name: one of `REGULARISER_WEIGHTS`.
        weight: factor of the term; for "weight-clipping" the bound c. The default is the name's own.
        interval: run every so many steps, with the weight times the interval (lazy regularisation,
            Karras et al. 2020). Constraints on weights run every so many steps without any factor.
        options: keyword arguments of the function in `penalties`, such as `{mode: avoid}`.
    """

    name: str
    weight: Annotated[float, Field(gt=0)] = 1.0
    interval: Positive = 1
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _default_weight(cls, values: Any) -> Any:
        if isinstance(values, dict) and "weight" not in values:
            return {**values, "weight": REGULARISER_WEIGHTS.get(str(values.get("name")), 1.0)}
        return values

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in REGULARISER_WEIGHTS:
            raise ValueError(unknown_name("regulariser", name, REGULARISER_WEIGHTS).remedy)
        return name


class ModelConfig(Config):
    """Everything that a generator's weights depend on; kept in the metadata of `generator.safetensors`.

    Attributes:
        size: side in pixels; a power of two, at least 16.
        frames: length that the model is trained at.
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


def known_name(kind: str, name: str, known: tuple[str, ...]) -> str:
    """Accept a shipped name or `package.module:Object`; anything else is a `ValueError` with near names."""
    if name not in known and ":" not in name:
        error = unknown_name(kind, name, known)
        raise ValueError(f"{error.message}; {error.remedy}")
    return name
