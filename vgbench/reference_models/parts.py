"""The parts of a model by name: one table for each kind of part, and building a part that a config names.

Reading a table imports no torch, because a part is imported when it is used. A new part is a class or a
function, and one line here.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

from vgbench.errors import ConfigError, VgbenchError
from vgbench.named import import_object, load_target, unknown_name

T = TypeVar("T")

MOTIONS: dict[str, str] = {
    "none": "vgbench.reference_models.motion:NoMotion",
    "static": "vgbench.reference_models.motion:Static",
    "independent": "vgbench.reference_models.motion:Independent",
    "gru": "vgbench.reference_models.motion:Gru",
    "lstm": "vgbench.reference_models.motion:Lstm",
    "temporal-deconv": "vgbench.reference_models.motion:TemporalDeconv",
    "transformer": "vgbench.reference_models.motion:Transformer",
    "fourier": "vgbench.reference_models.motion:Fourier",
    "conv3d": "vgbench.reference_models.motion:NoMotion",
    "two-stream": "vgbench.reference_models.motion:NoMotion",
    "conv-gru": "vgbench.reference_models.motion:Independent",
    "implicit": "vgbench.reference_models.motion:Phase",
    "flow-warp": "vgbench.reference_models.motion:Gru",
    "temporal-shift": "vgbench.reference_models.motion:Gru",
    "stylegan-v": "vgbench.reference_models.stylegan_v:AcyclicWaves",
    "digan": "vgbench.reference_models.digan:NoiseAndTime",
}
"""Subclass of `Motion` for each `generator.motion.name`; names in `DECODERS` also stand for their decoder."""

DECODERS: dict[str, str] = {
    "frame": "vgbench.reference_models.decoders:FrameDecoder",
    "conv3d": "vgbench.reference_models.decoders:Conv3dDecoder",
    "two-stream": "vgbench.reference_models.decoders:TwoStreamDecoder",
    "conv-gru": "vgbench.reference_models.decoders:ConvGruDecoder",
    "implicit": "vgbench.reference_models.decoders:ImplicitDecoder",
    "flow-warp": "vgbench.reference_models.decoders:FlowWarpDecoder",
    "temporal-shift": "vgbench.reference_models.decoders:TemporalShiftDecoder",
    "style": "vgbench.reference_models.style:StyleDecoder",
    "layered": "vgbench.reference_models.layered:LayeredDecoder",
    "dcgan": "vgbench.reference_models.dcgan:DcganDecoder",
    "vgan": "vgbench.reference_models.dcgan:VganDecoder",
    "tgan": "vgbench.reference_models.dcgan:TganDecoder",
    "stylegan-v": "vgbench.reference_models.stylegan_v:StyleGanVDecoder",
    "digan": "vgbench.reference_models.digan:DiganDecoder",
}
"""Subclass of `Decoder` for each `generator.decoder.name`."""

DISCRIMINATORS: dict[str, str] = {
    "image": "vgbench.reference_models.discriminators:ImageDiscriminator",
    "video3d": "vgbench.reference_models.discriminators:VideoDiscriminator",
    "spatial": "vgbench.reference_models.discriminators:SpatialDiscriminator",
    "temporal": "vgbench.reference_models.discriminators:TemporalDiscriminator",
    "embedding-motion": "vgbench.reference_models.discriminators:EmbeddingMotionDiscriminator",
    "time-conditioned": "vgbench.reference_models.discriminators:TimeConditionedDiscriminator",
    "two-stream": "vgbench.reference_models.two_stream:TwoStreamDiscriminator",
    "stylegan2": "vgbench.reference_models.stylegan2_discriminators:StyleImageDiscriminator",
    "digan-pair": "vgbench.reference_models.stylegan2_discriminators:PairDiscriminator",
    "stylegan-v": "vgbench.reference_models.stylegan2_discriminators:StyleGanVDiscriminator",
}
"""Subclass of `Discriminator` for each `discriminators.name`."""

LOSSES: dict[str, str] = {
    "minimax": "vgbench.reference_models.losses:minimax",
    "non-saturating": "vgbench.reference_models.losses:non_saturating",
    "lsgan": "vgbench.reference_models.losses:lsgan",
    "wgan": "vgbench.reference_models.losses:wgan",
    "hinge": "vgbench.reference_models.losses:hinge",
    "ralsgan": "vgbench.reference_models.losses:ralsgan",
    "rahinge": "vgbench.reference_models.losses:rahinge",
    "rans": "vgbench.reference_models.losses:rans",
    "rpgan": "vgbench.reference_models.losses:rpgan",
}
"""The `Loss` for each `loss.name`."""


@dataclass(frozen=True)
class Regulariser:
    """A regulariser that vgbench ships.

    Attributes:
        target: its function, as "module:function".
        kind: when the function is called, and how:
            "penalty": in the discriminators' phase, as f(discriminator, real, fake, mixing). It
            differentiates the score with respect to the clips, and returns a scalar to add to the
            discriminator's loss.
            "term": in the generator's phase, as f(view). It returns a scalar to add to the generator's loss.
            "constraint": after the discriminators' optimiser step, as f(discriminator, bound). It changes the
            weights in place; the bound is the config's `weight`.
        weight: of a config that gives none.
        whole_clips: the term looks at the frames of generated clips itself, so all of them must be rendered.
    """

    target: str
    kind: Literal["penalty", "term", "constraint"]
    weight: float = 1.0
    whole_clips: bool = True


REGULARISERS: dict[str, Regulariser] = {
    "gradient-penalty": Regulariser("vgbench.reference_models.penalties:gradient_penalty", "penalty", 10.0),
    "r1": Regulariser("vgbench.reference_models.penalties:r1", "penalty"),
    "r2": Regulariser("vgbench.reference_models.penalties:r2", "penalty"),
    "weight-clipping": Regulariser("vgbench.reference_models.constraints:clip_weights", "constraint", 0.01),
    "singular-value-clipping": Regulariser(
        "vgbench.reference_models.constraints:clip_singular_values", "constraint"
    ),
    "temporal-smoothness": Regulariser(
        "vgbench.reference_models.generator_terms:temporal_smoothness", "term"
    ),
    "periodicity": Regulariser("vgbench.reference_models.periodicity:periodicity", "term", 0.5),
    "code-periodicity": Regulariser(
        "vgbench.reference_models.periodicity:code_periodicity", "term", 0.5, whole_clips=False
    ),
    "feature-matching": Regulariser(
        "vgbench.reference_models.generator_terms:feature_matching", "term", whole_clips=False
    ),
    "mode-seeking": Regulariser("vgbench.reference_models.generator_terms:mode_seeking", "term"),
    "categorical-information": Regulariser(
        "vgbench.reference_models.generator_terms:categorical_information", "term", whole_clips=False
    ),
    "first-frame": Regulariser("vgbench.reference_models.generator_terms:first_frame", "term", 10.0),
    "mask-sparsity": Regulariser("vgbench.reference_models.generator_terms:mask_sparsity", "term", 0.1),
    "flow-smoothness": Regulariser("vgbench.reference_models.generator_terms:flow_smoothness", "term", 0.1),
}
"""For each `regularisers.name`."""


def load_part(kind: str, name: str, table: Mapping[str, str]) -> Any:
    """Import the part that a config names.

    Args:
        kind: the word for error messages, such as "decoder".
        name: a key of `table`, or `package.module:Object` for a part of the user's own.
        table: one of the tables above.

    Raises:
        ConfigError: the name is unknown, or the user's object cannot be imported.
    """
    if name in table:
        return load_target(table[name])
    if ":" in name:
        return import_object(name)
    raise unknown_name(kind, name, table)


def build_part(
    kind: str, name: str, table: Mapping[str, str], base: type[T], *arguments: Any, options: Mapping[str, Any]
) -> T:
    """Import the class that a config names, and call it.

    Args:
        kind: the word for error messages, such as "decoder".
        name: a key of `table`, or `package.module:Class` for a class of the user's own.
        table: one of the tables above.
        base: class of which the result must be an instance.
        arguments: positional arguments of the class.
        options: keyword arguments of the class, from `options` in the config.

    Raises:
        ConfigError: the name is unknown, the class does not take these arguments, or it is of another kind.
    """
    factory = load_part(kind, name, table)
    expected = f"derive it from {base.__module__}.{base.__name__}"
    try:
        part = factory(*arguments, **options)
    except TypeError as error:
        raise ConfigError(f"{kind} '{name}' cannot be built: {error}", expected) from error
    if not isinstance(part, base):
        raise ConfigError(f"{kind} '{name}' builds a {type(part).__name__}, not a {base.__name__}", expected)
    return part


def check_options(regulariser: str, options: Mapping[str, Any]) -> None:
    """Check the options of a regulariser against the signature of its function.

    Args:
        regulariser: a key of `REGULARISERS`.
        options: as the config gives them.

    Raises:
        VgbenchError: the function has no such option, or the value has another type or is not allowed.
    """
    function = load_target(REGULARISERS[regulariser].target)
    inputs = {"discriminator", "real", "fake", "mixing", "view", "bound"}
    allowed = sorted(set(inspect.signature(function).parameters) - inputs)
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        raise VgbenchError(
            f"regulariser '{regulariser}' has no option {', '.join(unknown)}",
            f"its options: {', '.join(allowed) or 'none'}",
        )
    types = get_type_hints(function, include_extras=True)
    for option, value in options.items():
        kind = TypeAdapter(types[option], config={"allow_inf_nan": False})
        try:
            understood = kind.validate_python(value, strict=True)
        except ValidationError as error:
            reason = "; ".join(problem["msg"] for problem in error.errors(include_url=False))
        else:  # true and 2.0 are equal to 1 and 2 in a list of choices, but are not accepted for them
            same = type(value) in (type(understood), int)
            reason = "" if same else f"Input should be of type {type(understood).__name__}"
        if reason:
            raise VgbenchError(f"regulariser '{regulariser}', option {option} = {value!r}: {reason}")
