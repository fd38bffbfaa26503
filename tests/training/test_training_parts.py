"""Augmentation, moving average, grids, users' own parts, costs of models, experiment trackers."""

import itertools
import json
import sys
import types

import needs
import numpy as np
import pytest
import torch
from PIL import Image
from tiny import FRAMES, SIZE, config, generator, moving_squares
from torch import nn

from vgbench.clips.grid import tile, write_gif
from vgbench.errors import ConfigError, VgbenchError
from vgbench.reference_models import load
from vgbench.training import Diverged, list_models, run, train
from vgbench.training.augment import augment, draw
from vgbench.training.config import AUGMENTATIONS
from vgbench.training.ema import decay, update
from vgbench.training.model_costs import bounded_seconds_per_step, costs_of
from vgbench.training.networks import learning_rate_share
from vgbench.training.sampling import GRID, write_grid
from vgbench.training.trackers import strips


@pytest.mark.parametrize("kind", AUGMENTATIONS)
def test_every_frame_of_a_clip_gets_the_same_change(kind):
    still = torch.rand(3, 3, 1, 16, 16).expand(-1, -1, 5, -1, -1)
    changed = augment(still, [kind], draw(3, torch.Generator().manual_seed(0)))
    torch.testing.assert_close(changed, changed[:, :, :1].expand(-1, -1, 5, -1, -1))
    assert (changed != still).any()


@pytest.mark.parametrize("kind", AUGMENTATIONS)
def test_augmentation_passes_gradients_and_treats_clips_apart(kind):
    video = torch.rand(3, 3, 4, 16, 16, requires_grad=True)
    numbers = draw(3, torch.Generator().manual_seed(0))
    augment(video, [kind], numbers)[1].sum().backward()
    assert video.grad[1].abs().sum() > 0
    assert video.grad[[0, 2]].abs().sum() == 0


def test_translation_moves_by_whole_pixels_and_fills_with_grey():
    video = torch.arange(1.0, 257).view(1, 1, 1, 16, 16).expand(1, 3, 2, 16, 16)
    numbers = torch.full((1, 8), 0.999)  # the largest shift: two pixels, down and right
    moved = augment(video, ["translation"], numbers)
    torch.testing.assert_close(moved[..., 2:, 2:], video[..., :-2, :-2])
    assert moved[..., :2, :].abs().max() == 0
    assert moved[..., :2].abs().max() == 0


def test_moving_average_follows_the_recursion():
    average, model = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    with torch.no_grad():
        model.weight.fill_(3.0)
        model.running_mean.fill_(7.0)
    update(average, model, 0.75)
    assert average.weight.tolist() == [1.5, 1.5]
    assert average.running_mean.tolist() == [7.0, 7.0], "statistics are copied, not averaged"
    update(average, model, 0.75)
    assert average.weight.tolist() == [1.875, 1.875]


def test_half_life_is_a_half_life_and_ramps_up():
    assert decay(16, 10**9, half_life_clips=1000, ramp_up=0.05) ** (1000 / 16) == pytest.approx(0.5)
    assert decay(16, 2000, half_life_clips=1000, ramp_up=0.05) ** (100 / 16) == pytest.approx(0.5)
    assert decay(16, 16, half_life_clips=1000, ramp_up=0.0) == pytest.approx(0)
    assert decay(16, 0, half_life_clips=1000, ramp_up=0.05) == pytest.approx(0), "nothing was seen"


def test_grid_puts_clips_in_rows(tmp_path):
    clips = np.arange(6, dtype=np.uint8)[:, None, None, None, None] * np.ones((1, 2, 4, 4, 3), np.uint8)
    grid = tile(clips[:5], columns=3)
    assert grid.shape == (2, 8, 12, 3)
    assert grid[0, 0, ::4, 0].tolist() == [0, 1, 2]
    assert grid[0, 4, ::4, 0].tolist() == [3, 4, 0]
    write_gif(tmp_path / "grid.gif", np.random.default_rng(0).integers(0, 255, (4, 3, 8, 8, 3), np.uint8), 2)
    with Image.open(tmp_path / "grid.gif") as picture:
        assert (picture.size, picture.n_frames) == ((32, 32), 3)


OWN = """
import numpy as np
import torch
from torch import nn
from vgbench.reference_models.decoders import Decoder
from vgbench.reference_models.discriminators import Discriminator
from vgbench.reference_models.losses import Loss
from vgbench.reference_models.motion import Motion


class Drift(Motion):
    def __init__(self, config, frames, speed=1.0):
        super().__init__()
        self.code_dim, self.speed = config.noise_dim, speed

    def noise_shape(self, frames):
        return (1, self.code_dim)

    def forward(self, noise, times):
        return noise * (self.speed * times)[..., None]


class Paint(Decoder):
    def __init__(self, config, size, frames, content_dim, code_dim):
        super().__init__()
        self.layer = nn.Linear(content_dim + code_dim, 3 * size * size)
        self.size = size

    def forward(self, content, codes):
        both = torch.cat([content[:, None].expand(-1, codes.shape[1], -1), codes], 2)
        return self.layer(both).unflatten(2, (3, self.size, self.size)).transpose(1, 2).tanh()


class Flat(Discriminator):
    def __init__(self, config, size, frames):
        super().__init__(config, 1, 0, False)
        self.layer = nn.Linear(3 * frames * size * size, 1)

    def forward(self, video, times, label=None):
        return self.layer(video.flatten(1))


linear = Loss(lambda real, fake: (fake - real).mean().tanh(), lambda real, fake: -fake.mean())


def sample(n, seed, device="cpu"):
    return np.random.default_rng(seed).integers(0, 255, (n, 4, 8, 8, 3), np.uint8)


class Sampler:
    def sample(self, n, seed, frames=16, device="cpu"):
        return np.zeros((n, frames, 8, 8, 3), np.uint8)


def wrong(n, seed):
    return np.zeros((n, 3, 4, 8, 8), np.float32)
"""


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    (tmp_path / "vgbench_test_own.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    return "vgbench_test_own"


def test_users_own_parts_train_and_load(own_module, tmp_path):
    one = config(
        generator={
            "content_dim": 4,
            "motion": {"name": f"{own_module}:Drift", "noise_dim": 3, "options": {"speed": 0.5}},
            "decoder": {"name": f"{own_module}:Paint"},
        },
        discriminators=[{"name": f"{own_module}:Flat", "norm": "none"}],
        loss={"name": f"{own_module}:linear"},
    )
    train(one, tmp_path / "run", source=moving_squares())
    clips = load(tmp_path / "run").sample(2, frames=11)
    assert clips.shape == (2, 11, SIZE, SIZE, 3)
    assert (clips[:, 0] != clips[:, -1]).any()


def test_a_name_that_is_no_part_says_so(own_module, tmp_path):
    for changes, words in [
        ({"generator": generator(f"{own_module}:sample")}, "motion module .* cannot be built"),
        ({"loss": {"name": f"{own_module}:sample"}}, "is not a loss"),
        ({"loss": {"name": f"{own_module}:absent"}}, "cannot load"),
        ({"discriminators": [{"name": "vgbench_test_none:D"}]}, "cannot load"),
    ]:
        with pytest.raises(ConfigError, match=words):
            train(config(**changes), tmp_path / "run", source=moving_squares())


def test_samplers_of_users(own_module):
    clips = load(f"{own_module}:sample").sample(3, seed=4)
    np.testing.assert_array_equal(clips, np.random.default_rng(4).integers(0, 255, (3, 4, 8, 8, 3), np.uint8))
    assert load(f"{own_module}:Sampler").sample(2, frames=5).shape == (2, 5, 8, 8, 3)
    for key, flag in [
        ("frames", "--frames"),
        ("label", "--class"),
        ("fix", "--fix"),
        ("frame_step", "--rate"),
    ]:
        with pytest.raises(VgbenchError, match=f"takes no '{key}'") as caught:
            load(f"{own_module}:sample").sample(1, **{key: 9})
        assert flag in caught.value.remedy
    with pytest.raises(VgbenchError, match=r"returned float32 \[2, 3, 4, 8, 8\]"):
        load(f"{own_module}:wrong").sample(2)


def test_models_of_presets_are_counted():
    still, gru = list_models(["static-hinge", "gru-hinge"])
    assert gru.generator_parameters > still.generator_parameters
    assert gru.discriminator_macs == still.discriminator_macs > 0
    assert gru.seconds_per_step is None
    assert gru.size == 32
    assert gru.frames > FRAMES


def test_classes_of_the_data_are_counted():
    (costs,) = list_models(["gru-labels"])
    assert (costs.classes, costs.assumed) == (24, False), "six shapes that move in four ways"
    assert "16x32x32, 24 classes; generator" in str(costs)
    plain, given, assumed = (
        costs_of(config(data="path/to/clips", **labels), "own")
        for labels in ({}, {"labels": True, "classes": list("ab")}, {"labels": True})
    )
    assert [one.classes for one in (plain, given, assumed)] == [0, 2, 101]
    assert [one.assumed for one in (plain, given, assumed)] == [False, False, True]
    embedded = 16 * 8 * 16  # sixteen more numbers enter eight maps of 4x4
    assert given.generator_parameters - plain.generator_parameters == 2 * 16 + embedded
    assert assumed.generator_parameters - plain.generator_parameters == 101 * 16 + embedded
    assert given.discriminator_parameters - plain.discriminator_parameters == 2 * 8
    assert assumed.discriminator_parameters - plain.discriminator_parameters == 101 * 8


def test_steps_beyond_the_limit_are_extrapolated_from_two_clips():
    one = config(batch=8)
    measured, estimated = bounded_seconds_per_step(one, 1, seconds_limit=1e6)
    assert measured > 0
    assert not estimated
    expected, estimated = bounded_seconds_per_step(one, 1, seconds_limit=0)
    assert expected > 0
    assert estimated


def test_schedules_end_at_zero():
    def shares(kind):
        one = config(steps=100, optimiser={"schedule": kind})
        return [learning_rate_share(one, step) for step in (0, 50, 100)]

    assert shares("constant") == [1, 1, 1]
    assert shares("linear") == pytest.approx([1, 0.5, 0])
    assert shares("cosine") == pytest.approx([1, 0.5, 0])


def test_threads_are_limited_while_training_only(tmp_path):
    before, seen = torch.get_num_threads(), []
    train(
        config(threads=1),
        tmp_path,
        source=moving_squares(),
        progress=lambda _: seen.append(torch.get_num_threads()),
    )
    assert set(seen) == {1}
    assert torch.get_num_threads() == before


def test_weights_and_biases_gets_numbers_and_clips(tmp_path, monkeypatch):
    logged, ended = [], []
    run = types.SimpleNamespace(
        log=lambda values, step: logged.append((step, values)), finish=lambda: ended.append(1)
    )
    fake = types.ModuleType("wandb")
    fake.init = lambda **options: logged.append((0, options)) or run
    fake.Video = lambda path, **options: Image.open(path)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    train(config(wandb="gans"), tmp_path, source=moving_squares(), score=lambda _: 0.5)
    assert logged[0][1]["project"] == "gans"
    assert [step for step, values in logged if "generator_loss" in values] == [1, 2]
    (grid,) = [values["samples"] for _, values in logged if "samples" in values]
    assert grid.n_frames == FRAMES
    grid.close()
    assert [(step, values) for step, values in logged if "score" in values] == [(2, {"score": 0.5})]
    assert ended == [1]


def test_tensorboard_can_read_numbers_scores_and_clips(tmp_path):
    accumulators = needs.package("tensorboard.backend.event_processing.event_accumulator")
    train(config(tensorboard=True), tmp_path, source=moving_squares(), score=lambda _: 0.5)
    events = accumulators.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    logged = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    shown = [(event.step, event.value) for event in events.Scalars("generator_loss")]
    assert shown == [(line["step"], pytest.approx(line["generator_loss"], rel=1e-5)) for line in logged]
    assert [(event.step, event.value) for event in events.Scalars("score")] == [(2, 0.5)]
    (samples,) = events.Images("samples")
    assert (samples.step, samples.height, samples.width) == (2, 16 * SIZE, FRAMES * SIZE)


def test_trackers_are_closed_when_training_diverges(tmp_path, monkeypatch):
    told = []

    class Told:
        def scalars(self, values, step):
            told.append((step, values))

        def clips(self, *_):
            told.append("clips")

        def close(self):
            told.append("closed")

    monkeypatch.setattr(run, "TensorBoard", lambda _: Told())
    wild = {"generator_lr": 1e4, "discriminator_lr": 1e4}
    discriminators = [{"name": "video3d", "channels": 4, "norm": "none"}]
    one = config(tensorboard=True, optimiser=wild, discriminators=discriminators, steps=50)
    with pytest.raises(Diverged) as caught:
        train(one, tmp_path, source=moving_squares())
    assert told[-2:] == [(caught.value.step, caught.value.measured), "closed"]


@pytest.mark.parametrize(
    ("changes", "module", "words", "package"),
    [
        ({"wandb": "gans"}, "wandb", "wandb is not installed", "wandb"),
        ({"tensorboard": True}, "torch.utils.tensorboard", "TensorBoard is not installed", "tensorboard"),
    ],
)
def test_trackers_that_are_not_installed_say_so(changes, module, words, package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(VgbenchError, match=words) as caught:
        train(config(**changes), tmp_path, source=moving_squares())
    assert caught.value.remedy == f"pip install {package}"


def test_strips_put_the_frames_of_a_clip_in_a_row():
    clips = np.arange(6, dtype=np.uint8).reshape(2, 3, 1, 1, 1) * np.ones((1, 1, 2, 2, 3), np.uint8)
    assert strips(clips)[::2, ::2, 0].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_grid_of_a_fixed_content_has_one_content_a_row(tmp_path):
    train(config(steps=1), tmp_path / "run", source=moving_squares())
    write_grid(str(tmp_path / "run"), tmp_path / "grids" / "content.gif", seed=3, fix="content")
    model = load(tmp_path / "run")
    rows = [model.sample(GRID[1], seed=3 + row, fix="content") for row in range(GRID[0])]
    written = tile(np.concatenate(rows), GRID[1])
    with Image.open(tmp_path / "grids" / "content.gif") as picture:
        assert picture.n_frames == len(written)
        shown = np.asarray(picture.convert("RGB")).astype(int)[::2, ::2]
    other = np.roll(written[0], SIZE, axis=0).astype(int)  # rows of clips one further down
    assert np.abs(shown - written[0]).mean() < 0.5 * np.abs(shown - other).mean()  # a GIF has 256 colours
    latents = [model.draw_each(range(GRID[1]), 3 + row, FRAMES, "content") for row in range(GRID[0])]
    for one, other in itertools.pairwise(latents):
        assert (one.content == one.content[:1]).all()
        assert (one.content != other.content).any()
        assert (one.motion[0] != one.motion[1]).any()
