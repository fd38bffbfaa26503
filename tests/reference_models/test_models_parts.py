"""The tables of parts: a name stands for a part of its kind, whose docstring begins with one whole line."""

import inspect

import pytest

from vgbench.errors import ConfigError
from vgbench.named import load_target
from vgbench.reference_models.decoders import Decoder
from vgbench.reference_models.discriminators import Discriminator
from vgbench.reference_models.losses import Loss
from vgbench.reference_models.motion import Motion
from vgbench.reference_models.parts import (
    DECODERS,
    DISCRIMINATORS,
    LOSSES,
    MOTIONS,
    REGULARISERS,
    build_part,
    load_part,
)
from vgbench.training.config import AUGMENTATIONS


def describes_itself(part):
    """`vgbench list` prints the first line alone."""
    return part.__doc__ is not None and part.__doc__.partition("\n")[0].endswith(".")


@pytest.mark.parametrize(
    ("table", "base"), [(MOTIONS, Motion), (DECODERS, Decoder), (DISCRIMINATORS, Discriminator)]
)
def test_names_stand_for_subclasses_of_their_own_interface(table, base):
    for name, target in table.items():
        part = load_target(target)
        assert issubclass(part, base), name
        assert describes_itself(part), name


def test_names_of_losses_stand_for_losses():
    for name, target in LOSSES.items():
        loss = load_target(target)
        assert isinstance(loss, Loss), name
        assert describes_itself(loss.discriminator), name
        assert describes_itself(loss.generator), name


CALLED_WITH = {
    "penalty": ["discriminator", "real", "fake", "mixing"],
    "term": ["view"],
    "constraint": ["discriminator", "bound"],
}


@pytest.mark.parametrize("name", REGULARISERS)
def test_regularisers_take_what_their_kind_is_called_with_and_have_defaults_for_the_rest(name):
    one = REGULARISERS[name]
    function = load_target(one.target)
    assert describes_itself(function)
    parameters = inspect.signature(function).parameters.values()
    needed = [each.name for each in parameters if each.default is inspect.Parameter.empty]
    assert needed == CALLED_WITH[one.kind]
    assert one.whole_clips or one.kind == "term", "only terms of the generator look at generated clips"


def test_augmentations_say_what_they_are():
    assert all(describes_itself(load_target(target)) for target in AUGMENTATIONS.values())


def test_an_unknown_part_is_an_error_with_the_nearest_name():
    with pytest.raises(ConfigError, match="unknown decoder 'implict'") as caught:
        load_part("decoder", "implict", DECODERS)
    assert "did you mean implicit?" in caught.value.remedy


def test_a_part_of_another_kind_is_an_error_that_names_the_right_one():
    with pytest.raises(
        ConfigError, match="motion module 'builtins:dict' builds a dict, not a Motion"
    ) as caught:
        build_part("motion module", "builtins:dict", MOTIONS, Motion, options={})
    assert caught.value.remedy == "derive it from vgbench.reference_models.motion.Motion"
