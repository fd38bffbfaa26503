"""Suites: what a file may say, and which cells it stands for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from vgbench.bench.cells import expand, model_key, protocol_of, score_key
from vgbench.bench.run import describe, estimate, make_plan
from vgbench.bench.sources import held_back, open_split, open_untrained
from vgbench.bench.suite import Evaluation, Suite, SuiteData, read_suite
from vgbench.bench.work import as_fast_as_real, have_size, prepared
from vgbench.clips import open_source
from vgbench.config import parse
from vgbench.errors import ConfigError

SUITES = Path(__file__).parents[2] / "suites"

SMALL = {
    "name": "small",
    "data": {
        "shapes": {"train": "builtin:moving-shapes/train?size=16&clips=12"},
        "mine": {"about": "ask me"},
    },
    "steps": 5,
    "losses": {"wgan-gp": {"loss.name": "wgan", "regularisers": [{"name": "gradient-penalty"}]}},
    "models": [
        {
            "presets": ["gru-hinge"],
            "losses": ["lsgan", "wgan-gp"],
            "motions": ["gru", "fourier"],
            "seeds": [0, 1],
            "data": ["shapes"],
        }
    ],
    "references": [{"name": "real", "source": "train", "role": "real", "data": ["shapes"]}],
}


def suite(**changes):
    return parse(Suite, SMALL | changes, "small.yaml")


def test_a_grid_is_the_product_of_its_lists():
    cells = expand(suite())
    assert len(cells) == 1 + 2 * 2 * 2
    wgan = next(cell for cell in cells if cell.model == "fourier wgan-gp, seed 1")
    assert wgan.config.loss.name == "wgan"
    assert wgan.config.generator.motion.name == "fourier"
    assert [one.name for one in wgan.config.regularisers] == ["gradient-penalty"]
    assert (wgan.config.steps, wgan.config.minutes, wgan.config.seed) == (5, None, 1)
    assert [cell.coordinates["seed"] for cell in cells[1:]] == [0] * 4 + [1] * 4, "seed 0 of all comes first"


def test_rows_of_a_renamed_preset_have_its_name_of_today_and_their_former_keys():
    grid = {
        "presets": ["gru-hinge", "tgan"],
        "losses": [],
        "motions": [],
        "seeds": [0, 1],
        "data": ["shapes"],
    }
    again = grid | {"presets": ["gru-hinge", "tgan-like"]}
    small = {"settings": {"size": 16, "frames": 8}}
    before, now = suite(models=[grid], **small), suite(models=[again], **small)
    assert expand(before) == expand(now)
    (cell,) = (one for one in expand(now) if one.model == "tgan-like, seed 1")
    assert (cell.former, cell.coordinates["preset"]) == ("tgan, seed 1", "tgan-like")
    renamed = replace(cell, model="tgan, seed 1", former=None)
    assert score_key(now, cell, now.evaluations[0]) == score_key(now, renamed, now.evaluations[0])


def test_a_plus_adds_to_a_list():
    motions = {"fourier": {"generator.motion.name": "fourier", "regularisers+": [{"name": "mode-seeking"}]}}
    cells = expand(suite(motions=motions))
    one = next(cell for cell in cells if cell.model == "fourier wgan-gp, seed 0")
    assert [r.name for r in one.config.regularisers] == ["gradient-penalty", "mode-seeking"]


def test_what_two_grids_share_is_one_cell_and_must_be_equal():
    grid = SMALL["models"][0]
    again = grid | {"motions": ["gru"], "seeds": [0, 1, 2]}
    assert len(expand(suite(models=[grid, again]))) == 1 + 8 + 2
    with pytest.raises(ConfigError, match="with different settings"):
        expand(suite(models=[grid, again | {"steps": 6}]))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"step": 5}, "unknown key 'step'"),
        ({"models": [SMALL["models"][0] | {"loss": ["hinge"]}]}, "models.0.loss' .did you mean losses"),
        ({"models": [SMALL["models"][0] | {"data": ["shape"]}]}, "data 'shape' is not one of shapes, mine"),
        ({"data": {"shapes": {"path": "x"}}}, "data.shapes.path"),
        ({"steps": 0}, "steps"),
        ({"models": [], "references": []}, "nothing to score"),
        ({"name": "../up"}, "name"),
    ],
)
def test_a_mistake_is_named(changes, words):
    with pytest.raises(ConfigError, match=words):
        suite(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"losses": ["wgan"]}, "exactly one way to keep each discriminator Lipschitz"),
        ({"motions": ["grue"]}, "unknown motion module 'grue'"),
        ({"presets": ["gru-hing"]}, "unknown preset 'gru-hing'"),
        ({"settings": {"batchsize": 3}}, "unknown key 'batchsize'"),
        ({"presets": ["first-frame"], "losses": [], "motions": []}, "continues first frames"),
    ],
)
def test_a_cell_that_cannot_train_is_found_before_anything_runs(changes, words):
    with pytest.raises(ConfigError, match=words):
        expand(suite(models=[SMALL["models"][0] | changes]))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"protocol": "quik"}, "unknown protocol 'quik'"),
        ({"metrics": ["fvdd"]}, "unknown metric 'fvdd'"),
        ({"settings": {"clips.genrated": 3}}, "clips.genrated"),
    ],
)
def test_a_protocol_that_does_not_exist_is_found_before_anything_runs(changes, words):
    with pytest.raises(ConfigError, match=words):
        expand(suite(evaluations=[changes]))


def test_paths_come_from_the_command_line(tmp_path):
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(SMALL))
    assert read_suite(file, data=["mine=clips/"]).data["mine"].train == "clips/"
    assert read_suite(file, data=["mine=a", "mine.test=b"]).data["mine"].test == "b"
    assert read_suite(file, ["steps=7"]).steps == 7
    for name in ("train.csv", "test.csv"):
        (tmp_path / name).write_text("path\na.mp4\n")
    prepared = read_suite(file, data=[f"mine={tmp_path}"]).data["mine"]
    assert (Path(prepared.train).name, Path(prepared.test).name) == ("train.csv", "test.csv")
    with pytest.raises(ConfigError, match="no data set 'yours'"):
        read_suite(file, data=["yours=a"])
    with pytest.raises(ConfigError, match="expected NAME=PATH"):
        read_suite(file, data=["mine"])


def test_rows_without_their_data_wait(tmp_path):
    waiting = suite(models=[SMALL["models"][0] | {"data": ["shapes", "mine"]}])
    plan = make_plan(waiting, tmp_path / "work", tmp_path / "results")
    assert plan.missing == {"mine": 8}
    assert len(plan.tasks) == 9
    assert dict(describe(plan))["mine/gru-lsgan-seed-0"] == "needs --data mine=PATH"
    with pytest.raises(ConfigError, match="'mine' is not given") as caught:
        open_split("mine", waiting.data["mine"], "train")
    assert caught.value.remedy == "--data mine=PATH; ask me"


def test_keys_change_with_what_moves_a_score_and_with_nothing_else():
    one = suite()
    cell = next(cell for cell in expand(one) if cell.model == "gru lsgan, seed 0")

    def key(changed, which=cell.model):
        cell = next(cell for cell in expand(changed) if cell.model == which)
        return score_key(changed, cell, changed.evaluations[0])

    same = [suite(title="x"), suite(device="cpu"), suite(settings={"log_steps": 3})]
    other = [suite(steps=6), suite(settings={"batch": 4}), suite(sampling={"clips": 9})]
    assert {key(changed) for changed in same} == {key(one)}
    assert key(one) not in {key(changed) for changed in other}
    assert key(one) != key(one, "gru lsgan, seed 1")
    configs = {c.model: c.config for c in expand(one) if c.config}
    assert model_key(configs["gru lsgan, seed 0"]) == model_key(configs["gru lsgan, seed 1"])
    assert model_key(configs["gru lsgan, seed 0"]) != model_key(configs["fourier lsgan, seed 0"])


def test_what_must_be_read_beside_a_score_is_measured_with_it():
    (evaluation,) = suite().evaluations
    assert "warping_error" in protocol_of(evaluation).metrics
    assert protocol_of(evaluation).metrics.count("dynamic_degree") == 1
    named = Evaluation(metrics=("fvd", "temporal_flicker", "dynamic_degree"))
    assert protocol_of(named).metrics == ("fvd", "temporal_flicker", "dynamic_degree")
    assert protocol_of(Evaluation(metrics=("fvd",))).metrics == ("fvd",)


def test_the_held_back_split_is_the_end_of_each_class():
    source = open_source("builtin:moving-shapes/train?size=16&clips=200")
    data = SuiteData(train=source.name, test_share=0.25)
    train, test = open_split("x", data, "train"), open_split("x", data, "test")
    ids = {split: {clip.id for clip in one.clips} for split, one in (("train", train), ("test", test))}
    assert not ids["train"] & ids["test"]
    assert ids["train"] | ids["test"] == {clip.id for clip in source.clips}
    for label in {clip.label for clip in source.clips}:
        of_train = [clip.id for clip in train.clips if clip.label == label]
        of_test = [clip.id for clip in test.clips if clip.label == label]
        assert of_train, "never all of a class"
        assert max(of_train) < min(of_test, default="~")
    assert held_back(source, 0.25) == ids["test"]
    everything = SuiteData(train=source.name, test="train")
    assert len(open_split("x", everything, "test").clips) == 200


def test_clips_of_one_group_stay_in_one_split():
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    items = [(frames, "walk", f"video {number // 3}") for number in range(12)]
    source = open_source([*items, *((frames, "run", f"run {number}") for number in range(4))])
    assert held_back(source, 0.25) == {"video 3", "run 3"}
    assert held_back(source, 0.6) == {"video 2", "video 3", "run 2", "run 3"}


def test_reference_rows_are_splits_damaged_or_not():
    data = SuiteData(train="builtin:moving-shapes/train?size=16&clips=60")
    frozen = open_untrained("distort:freeze=1:train", "x", data).clips[0].read(range(16))
    assert (frozen == frozen[:1]).all()
    assert len(open_untrained("builtin:noise?clips=3", "x", data).clips) == 3


def test_records_carry_no_path_of_the_machine(tmp_path):
    from vgbench.clips import write_clips

    write_clips(
        (clip.read(range(4)) for clip in open_source("builtin:noise?size=16&clips=4").clips), tmp_path, "npz"
    )
    assert open_split("mine", SuiteData(train=str(tmp_path)), "test").name == "mine/test"


@pytest.mark.parametrize("name", ["presets-cpu"])
def test_published_rows_have_their_records(name, tmp_path):
    """The key of every row is still that of its record, so nothing that was published is computed again."""
    results = SUITES.parent / "docs" / "results" / name
    if not results.is_dir():
        pytest.skip("the published results are not part of this checkout")
    plan = make_plan(read_suite(SUITES / f"{name}.yaml"), tmp_path / "work", results)
    assert len(plan.cells) > sum(plan.missing.values())
    assert plan.tasks == ()


@pytest.mark.parametrize("path", sorted(SUITES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_suite_has_a_plan(path, tmp_path):
    plan = make_plan(read_suite(path), tmp_path / "work", tmp_path / "results")
    assert plan.suite.name == path.stem
    assert len(describe(plan)) == len(plan.cells)
    assert len(plan.tasks) + sum(plan.missing.values()) == len(plan.cells)
    assert f"{len(plan.tasks)} of {len(plan.cells)} rows to do" in estimate(plan, 2)
    assert not list(tmp_path.iterdir()), "a plan writes nothing"


def sizes_and_strides(**changes):
    """Two models on `shapes` that are trained at different sizes and strides, and one on `plain`."""
    data = {
        "shapes": {"train": "builtin:moving-shapes/train?size=64&clips=80"},
        "plain": {"train": "builtin:moving-shapes/train?size=16&clips=80"},
    }
    grid = {"presets": ["gru-hinge"], "motions": ["gru"], "data": ["shapes"]}
    small, large = {"size": 16, "stride": 1}, {"size": 64, "stride": 3}
    models = [
        grid | {"settings": small},
        grid | {"settings": large, "motions": ["fourier"]},
        grid | {"settings": small, "data": ["plain"]},
    ]
    references = [
        {"name": "frozen", "source": "distort:freeze=1:train"},
        {"name": "noise", "source": "builtin:noise"},
    ]
    return suite(**({"data": data, "models": models, "references": references} | changes))


def protocols(whole, evaluation=None):
    """Name of each cell -> (size first, stride, stride of real clips) of its protocol."""
    found = {}
    for cell in expand(whole):
        real = open_split(cell.data, whole.data[cell.data], "test")
        protocol = prepared(protocol_of(evaluation or whole.evaluations[0]), cell, real)
        first = protocol.resize.first
        found[cell.name] = (
            first and first.size,
            protocol.windows.stride,
            protocol.windows_for("real").stride,
        )
    return found


def test_real_clips_are_prepared_like_those_of_each_model_and_reference_rows_join_every_table():
    assert protocols(sizes_and_strides()) == {
        "shapes/frozen": (16, 1, 1),
        "shapes/frozen-64-pixels-stride-3": (None, 1, 3),
        "shapes/noise": (16, 1, 1),
        "shapes/noise-64-pixels-stride-3": (None, 1, 3),
        "plain/frozen": (None, 1, 1),
        "plain/noise": (None, 1, 1),
        "shapes/gru": (16, 1, 1),
        "shapes/fourier": (None, 1, 3),
        "plain/gru": (None, 1, 1),
    }


def test_a_suite_may_bring_all_models_to_one_size_and_leave_sizes_alone():
    one_size = Evaluation(settings={"resize.first.size": 16})
    assert {size for size, *_ in protocols(sizes_and_strides(), one_size).values()} == {16}
    native = Evaluation(settings={"resize.first.fit": "keep"})
    for cell in expand(sizes_and_strides()):
        protocol = prepared(protocol_of(native), cell, open_source("builtin:noise?size=64&clips=3"))
        assert protocol.resize.describe() == protocol_of(Evaluation()).resize.describe()
    by_time = Evaluation(settings={"windows.fps": 8})
    found = protocols(sizes_and_strides(), by_time)
    assert {stride for _, *strides in found.values() for stride in strides} == {1}


def test_rows_of_one_name_have_keys_of_their_own_and_the_first_keeps_the_usual_one():
    whole = sizes_and_strides()
    alone = sizes_and_strides(models=SMALL["models"])
    keys = {cell.name: score_key(whole, cell, whole.evaluations[0]) for cell in expand(whole)}
    assert len(set(keys.values())) == len(keys)
    (usual,) = (cell for cell in expand(alone) if cell.name == "shapes/frozen")
    assert keys["shapes/frozen"] == score_key(alone, usual, alone.evaluations[0])


def test_clips_have_a_size_if_all_that_are_looked_at_have_it():
    same, other = open_source("builtin:noise?size=16&clips=40"), open_source("builtin:noise?size=24&clips=40")
    assert have_size(same, 16)
    assert not have_size(same, 24)
    assert not have_size(replace(same, clips=[*same.clips, *other.clips]), 16)


def test_real_clips_that_stand_in_for_a_model_skip_frames_as_its_training_did():
    whole = sizes_and_strides()
    source = open_source("builtin:moving-shapes/train?size=16&clips=2&frames=20")
    for cell in expand(whole):
        protocol = prepared(protocol_of(whole.evaluations[0]), cell, source)
        clip = as_fast_as_real(source, cell, protocol).clips[0]
        step = 3 if cell.name == "shapes/frozen-64-pixels-stride-3" else 1
        np.testing.assert_array_equal(clip.read(range(5)), source.clips[0].read(range(0, 5 * step, step)))
