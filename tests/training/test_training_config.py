import shlex

import pytest
from tiny import config, generator
from torch.distributed.run import get_args_parser

from vgbench.cli import app
from vgbench.config import to_yaml
from vgbench.distributed import World
from vgbench.errors import ConfigError, VgbenchError
from vgbench.named import import_object
from vgbench.presets import describe, preset_names, preset_path
from vgbench.reference_models import build, model_config
from vgbench.training import read_config
from vgbench.training.config import fixed_differences
from vgbench.training.config_files import read_resumed_config, resume_command
from vgbench.training.model_costs import kinds_of_steps
from vgbench.training.networks import build_networks
from vgbench.training.trainer import check


def discriminator(norm="none", **rest):
    return {"name": "video3d", "channels": 4, "norm": norm, **rest}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lr": 1}, "unknown key 'lr'"),
        ({"generator": {"chanels": 3}}, "unknown key 'generator.chanels'.*channels"),
        ({"loss": {"name": "hing"}}, "unknown loss 'hing'.*hinge"),
        ({"generator": {"motion": {"name": "gruu"}}}, "unknown motion module 'gruu'.*gru"),
        ({"discriminators": [{"name": "vid3d"}]}, "unknown discriminator 'vid3d'.*video3d"),
        ({"discriminators": []}, "discriminators: at least one"),
        ({"regularisers": [{"name": "r3"}]}, "unknown regulariser 'r3'.*r1"),
        ({"augment_target": 0.6}, r"augment_target = 0\.6, but augment names no augmentation"),
        ({"augment": ["colour", "color"]}, r"augment\.1.*unknown augmentation 'color'.*colour"),
        (
            {"regularisers": [{"name": "r1"}, {"name": "r1"}], "discriminators": [discriminator()]},
            "given twice",
        ),
        ({"size": 24}, "power of two"),
        ({"batch": 4, "micro_batch": 3}, "batch = 4.*micro_batch = 3"),
        ({"optimiser": {"schedule": "linear"}, "steps": None, "minutes": 1}, "schedule = linear needs steps"),
        ({"optimiser": {"betas": [0.5, 1.0]}}, "optimiser.betas"),
        ({"labels": True, "generator": {"categories": 3}}, "labels = true and generator.categories"),
        ({"regularisers": [{"name": "categorical-information"}]}, "labels = true or generator.categories"),
        ({"generator": {"first_frame": True}}, "generator.first_frame.*first-frame"),
        # What a loss or penalty needs of the discriminator
        ({"loss": {"name": "wgan"}, "discriminators": [discriminator()]}, "loss.name = wgan.*found none"),
        (
            {"loss": {"name": "wgan"}, "discriminators": [discriminator("spectral"), discriminator()]},
            "loss.name = wgan.*found none",
        ),
        (
            {
                "loss": {"name": "wgan"},
                "discriminators": [discriminator()],
                "regularisers": [{"name": "gradient-penalty"}, {"name": "weight-clipping"}],
            },
            "exactly one.*found gradient-penalty, weight-clipping",
        ),
        (
            {"discriminators": [discriminator(), discriminator("batch")], "regularisers": [{"name": "r1"}]},
            "regularisers.name = r1 with discriminators.norm = batch",
        ),
        (
            {"discriminators": [discriminator("batch")], "regularisers": [{"name": "gradient-penalty"}]},
            "gradient-penalty with discriminators.norm = batch",
        ),
    ],
)
def test_bad_configs_name_the_keys(changes, words):
    with pytest.raises(ConfigError, match=f"(?s){words}"):
        config(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"regularisers": [{"name": "gradient-penalty"}], "discriminators": [discriminator()]},
        {"regularisers": [{"name": "weight-clipping"}], "discriminators": [discriminator("batch")]},
        {"regularisers": [{"name": "singular-value-clipping"}], "discriminators": [discriminator("batch")]},
        {"discriminators": [discriminator("spectral"), discriminator("spectral")]},
    ],
)
def test_wgan_takes_each_of_its_constraints(changes):
    config(loss={"name": "wgan"}, **changes)


def test_regularisers_have_their_own_default_weight():
    one = config(
        discriminators=[discriminator()],
        regularisers=[{"name": "gradient-penalty"}, {"name": "r1", "weight": 0.5}],
    )
    assert [regulariser.weight for regulariser in one.regularisers] == [10.0, 0.5]


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_valid_and_described(name):
    one = read_config(name)
    check(one, World())
    assert one.steps or one.minutes
    assert len(describe(name)) > 20
    assert f"vgbench train {name}" in preset_path(name).read_text()


@pytest.mark.parametrize("name", ["gru-hinge", "conv3d-lsgan", "temporal-deconv-wgan-gp"])
def test_presets_build(name):
    assert build(name).sample(1).shape == (1, 16, 32, 32, 3)
    build_networks(read_config(name))


def test_unknown_preset_suggests():
    with pytest.raises(ConfigError) as caught:
        read_config("gru-hing")
    assert "gru-hinge" in caught.value.remedy
    with pytest.raises(ConfigError) as caught:
        build("gru-hing")
    assert "gru-hinge" in caught.value.remedy


def test_the_former_name_of_a_preset_says_what_it_is_now(capsys):
    with pytest.raises(ConfigError, match="unknown key 'nothing'"):
        app(["train", "mocogan-64-faithful", "--set", "nothing=1"], standalone_mode=False)
    said = " ".join(capsys.readouterr().err.split())
    assert "the preset mocogan-64-faithful is called mocogan-64 now: MoCoGAN: the networks" in said
    with pytest.raises(ConfigError):
        app(["train", "mocogan-64", "--set", "nothing=1"], standalone_mode=False)
    assert "called" not in capsys.readouterr().err


def test_settings_and_flags_win_over_the_preset():
    one = read_config(
        "gru-hinge",
        ["generator.motion.name=lstm", "optimiser.generator_lr=3e-4"],
        {"data": "x", "seed": None},
    )
    assert one.generator.motion.name == "lstm"
    assert one.optimiser.generator_lr == 3e-4
    assert one.data == "x"
    assert one.seed == 0


def test_a_limit_that_is_asked_for_replaces_the_presets():
    one = read_config("gru-hinge", (), {"steps": 10, "minutes": None})
    assert (one.steps, one.minutes) == (10, None)
    assert read_config("gru-hinge").minutes


def test_a_run_goes_on_with_its_own_config_and_what_is_asked_for_anew(tmp_path):
    begun = read_config("gru-hinge", ["size=16", "optimiser.generator_lr=1e-3"], {"data": "mine", "steps": 9})
    (tmp_path / "config.yaml").write_text(to_yaml(begun))
    assert read_resumed_config(tmp_path) == begun
    anew = read_resumed_config(tmp_path, None, ["optimiser.generator_lr=1e-4"], {"threads": 1})
    assert (anew.data, anew.size, anew.steps, anew.threads) == ("mine", 16, 9, 1)
    assert anew.optimiser.generator_lr == 1e-4
    assert fixed_differences(begun, anew) == []


def test_a_preset_beside_resume_must_be_that_of_the_run(tmp_path):
    begun = read_config("gru-hinge", (), {"data": "mine"})
    (tmp_path / "config.yaml").write_text(to_yaml(begun))
    assert read_resumed_config(tmp_path, "gru-hinge").data != "mine", "no checkpoint: the run begins"
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.safetensors").touch()
    assert read_resumed_config(tmp_path, "gru-hinge").data == "mine"
    with pytest.raises(ConfigError, match=r"another generator\..* than conv3d-lsgan has") as caught:
        read_resumed_config(tmp_path, "conv3d-lsgan")
    assert caught.value.remedy.endswith(f"vgbench train -o {tmp_path} --resume")


def test_a_folder_without_a_run_is_not_resumed(tmp_path):
    with pytest.raises(ConfigError, match="contains no run to resume"):
        read_resumed_config(tmp_path)


def test_command_to_resume_passes_the_launcher_of_torch(tmp_path):
    """It parses what follows the module's name too, and refuses `--run`, since it has `--run-path`."""
    words = shlex.split(resume_command(tmp_path / "a run"))
    parsed = get_args_parser().parse_args(["--nproc-per-node", "2", "-m", *words])
    assert parsed.training_script == "vgbench"
    assert parsed.training_script_args == ["train", "-o", str(tmp_path / "a run"), "--resume"]


def test_model_part_of_a_config_is_found():
    one = config(generator=generator("lstm"))
    assert model_config(one) == one.model == model_config(one.model_dump())


def test_options_of_regularisers_are_checked():
    one = config(regularisers=[{"name": "periodicity", "options": {"mood": "avoid"}}])
    with pytest.raises(VgbenchError, match="no option mood"):
        build_networks(one)


def test_importing_the_package_does_not_import_torch():
    import subprocess
    import sys

    code = "import sys, vgbench.training, vgbench.reference_models; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert import_object("vgbench.training:train")


def test_settings_that_would_do_nothing_are_errors():
    with pytest.raises(VgbenchError, match=r"singular-value-clipping with discriminators\.norm = spectral"):
        config(
            regularisers=[{"name": "singular-value-clipping"}],
            discriminators=[{"name": "video3d", "norm": "spectral"}],
        )
    for motion in ("conv3d", "two-stream"):
        with pytest.raises(VgbenchError, match=r"upsample = 'nearest'"):
            build(config(generator=generator(motion, decoder={"upsample": "nearest"})))


@pytest.mark.parametrize("options", ["{length: abc}", "{lenght: 64}", '{length: "64"}'])
def test_a_dry_run_checks_the_options_of_regularisers(options):
    command = ["train", "gru-hinge", "--dry-run"]
    with pytest.raises(VgbenchError, match="code-periodicity"):
        app(
            [*command, "--set", f"regularisers=[{{name: code-periodicity, options: {options}}}]"],
            standalone_mode=False,
        )


def test_kinds_of_steps_have_their_shares():
    def kinds(*intervals):
        names = ["r1", "temporal-smoothness", "feature-matching"]
        given = [{"name": name, "interval": k} for name, k in zip(names, intervals, strict=False)]
        return kinds_of_steps(config(regularisers=given))

    assert kinds() == [(0, 1)]
    assert kinds(1) == [(0, 1)]
    assert kinds(8) == [(0, 1 / 8), (1, 7 / 8)]
    assert kinds(2, 3) == [(0, 1 / 6), (1, 2 / 6), (2, 2 / 6), (3, 1 / 6)]
    assert sum(share for _, share in kinds(997, 1009, 1013)) == pytest.approx(1)
