"""What a record keeps for plots: curves and a flow histogram of hand-made clips, and the sample card."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from vgbench import evaluate
from vgbench.errors import VgbenchError
from vgbench.evaluation.motion_profile import describe
from vgbench.metrics.temporal import average_content_distance, dynamic_degree, temporal_flicker
from vgbench.records.record import load_record
from vgbench.records.sample_card import POINTS, SampleCard, read_card, thinned, training_curves, write_card

SMALL = ["clips.generated=6", "clips.real=6", "clips.least=2", "windows.frames=8"]
REAL, FAKE = "builtin:moving-shapes/test?size=32&clips=6", "builtin:moving-shapes/train?size=32&clips=6"


def test_a_clip_that_brightens_evenly_drifts_in_a_straight_line():
    clip = np.arange(0, 80, 10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 32, 32, 3), np.uint8)
    found = describe(clip)
    np.testing.assert_allclose(found["drift"], np.arange(8) * 10 / 255)
    np.testing.assert_allclose(found["change"], 10 / 255)
    np.testing.assert_allclose(found["sharpness"], 0)
    assert found["change"].mean() == pytest.approx(temporal_flicker(clip))
    assert average_content_distance(clip) > 0


def test_sharpness_is_the_mean_step_between_neighbours():
    stripes = np.zeros((2, 32, 32, 3), np.uint8)
    stripes[:, :, ::2] = 255  # every step to the right is 1, every step down 0
    np.testing.assert_allclose(describe(stripes)["sharpness"], 0.5)


def test_flow_of_a_pan_is_its_speed():
    texture = np.random.default_rng(0).integers(0, 256, (64, 96, 3)).astype(np.float64)
    for axis in (0, 1):  # smooth, so that the flow can be followed
        texture = sum(np.roll(texture, shift, axis) for shift in range(-2, 3)) / 5
    clip = np.stack([texture[:, 2 * t : 2 * t + 64] for t in range(6)]).astype(np.uint8)
    found = describe(clip)
    np.testing.assert_allclose(found["flow"], 2 / 64, rtol=0.15)
    assert found["flow"].max() <= dynamic_degree(clip) * 1.5
    assert found["histogram"].sum() == pytest.approx(1)


def test_a_saved_record_keeps_both_sides_small_and_old_records_still_read(tmp_path):
    record = evaluate(FAKE, REAL, metrics=["temporal_flicker"], settings=SMALL, results=tmp_path)
    motion = record.details["motion"]
    assert motion["windows"] == {"generated": 6, "real": 6}
    assert set(motion["curves"]) == {"flow", "change", "drift", "sharpness"}
    assert {len(side["mean"]) for side in motion["curves"]["flow"].values()} == {7}
    assert {len(side["error"]) for side in motion["curves"]["drift"].values()} == {8}
    # The mean over frames of the mean over clips is the metric itself.
    change = motion["curves"]["change"]
    score = record.scores["temporal_flicker"]
    assert np.mean(change["generated"]["mean"]) == pytest.approx(score.value, rel=1e-3)
    assert np.mean(change["real"]["mean"]) == pytest.approx(score.real, rel=1e-3)
    assert len(json.dumps(motion)) < 5000
    (path,) = tmp_path.glob("*.json")
    values = json.loads(path.read_text())
    del values["details"]["motion"]
    path.write_text(json.dumps(values))
    assert "motion" not in load_record(path).details


def test_motion_comes_from_the_store_the_second_time(tmp_path, monkeypatch):
    first = evaluate(FAKE, REAL, metrics=["temporal_flicker"], settings=SMALL, results=tmp_path)
    monkeypatch.setattr(
        "vgbench.evaluation.motion_profile.describe", lambda clip: pytest.fail("measured twice")
    )
    again = evaluate(FAKE, REAL, metrics=["temporal_flicker"], settings=SMALL, results=tmp_path)
    assert again.details["motion"] == first.details["motion"]


def card(**others):
    return SampleCard(command="vgbench sample a", clips=6, seconds_per_clip=0.5, device="cpu", **others)


def test_a_card_beside_the_clips_reaches_the_record(tmp_path):
    clips = np.random.default_rng(0).integers(0, 256, (6, 8, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "clips.npz", clips=clips)
    write_card(tmp_path, card(training={"fvd": ((0, 3.0), (10, 2.0))}, gmac_per_clip=1.5))
    record = evaluate(str(tmp_path), REAL, metrics=["temporal_flicker"], settings=SMALL)
    assert record.clips.generated.used == 6  # the card is no clip
    assert record.details["sampling_seconds_per_clip"] == 0.5
    assert record.details["sampling_gmac_per_clip"] == 1.5
    assert record.details["training"] == {"fvd": [[0, 3.0], [10, 2.0]]}


def test_a_name_that_utf8_cannot_encode_is_spelled_out_in_the_record(tmp_path):
    settings = {"metrics": ["temporal_flicker"], "settings": SMALL, "results": tmp_path}
    evaluate(FAKE, REAL, name="a\udcff", **settings)
    (path,) = tmp_path.glob("*.json")
    assert load_record(path).model == "a\\udcff"


def test_a_damaged_card_is_named_and_a_foreign_file_ignored(tmp_path):
    assert read_card(tmp_path) is None
    (tmp_path / "sampling.json").write_text("[1, 2")
    assert read_card(tmp_path) is None
    (tmp_path / "sampling.json").write_text('{"schema": 1, "seconds_per_clip": "soon"}')
    with pytest.raises(VgbenchError, match=r"sampling\.json: damaged"):
        read_card(tmp_path)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"schema": 1, "seconds_per_clip": ' + "[" * 900 + "]" * 900 + "}"]
)
def test_a_card_nested_without_end_is_no_card(text, tmp_path):
    (tmp_path / "sampling.json").write_text(text)
    assert read_card(tmp_path) is None


def test_a_pipe_named_like_a_card_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "sampling.json")
    assert read_card(tmp_path) is None


def test_text_of_a_card_that_utf8_cannot_encode_is_spelled_out(tmp_path):
    values = card().model_dump(mode="json", by_alias=True) | {"config": {"data\udcff": ["\ud800"]}}
    (tmp_path / "sampling.json").write_text(json.dumps(values))
    assert read_card(tmp_path).config == {"data\\udcff": ["\\ud800"]}


def test_training_curves_pass_over_cut_lines_and_what_is_not_finite(tmp_path):
    (tmp_path / "scores.jsonl").write_text(
        '{"step": 1, "score": 9}\n{"step": 2, "score": NaN}\n{"step": 3, "score": 7}\n'
    )
    (tmp_path / "log.jsonl").write_text('{"step": 1, "generator_loss": 2, "seconds": 4}\n{"step": 2, "gen')
    assert training_curves(tmp_path) == {"fvd": ((1, 9), (3, 7))}


def test_long_curves_are_thinned_and_keep_their_last_point():
    points = [(float(x), 0.0) for x in range(1000)]
    kept = thinned(points)
    assert len(kept) <= POINTS
    assert kept[-1] == points[-1]


def sampler(n, seed):
    return np.full((n, 4, 16, 16, 3), seed, np.uint8)


def test_sampling_writes_what_it_cost_and_the_command_that_repeats_it(tmp_path):
    from vgbench.training.sampling import write_samples

    paths = write_samples(f"{__name__}:sampler", tmp_path / "it's", 3, seed=7, label=None)
    written = read_card(tmp_path / "it's")
    assert len(paths) == written.clips == 3
    assert 0 <= written.seconds_per_clip < 5
    assert written.command == (
        f"vgbench sample {__name__}:sampler --out '{tmp_path}/it'\"'\"'s' --count 3 --seed 7"
    )
    assert written.gmac_per_clip is None  # nobody can count inside a stranger's function


def test_sampling_a_run_counts_its_work_and_keeps_its_curves(tmp_path):
    from vgbench.reference_models import build
    from vgbench.reference_models.checkpoint import save_generator
    from vgbench.reference_models.cost import generator_cost
    from vgbench.training.sampling import write_samples

    generator = build("gru-hinge")
    save_generator(tmp_path / "run" / "generator.safetensors", generator, details={})
    (tmp_path / "run" / "scores.jsonl").write_text('{"step": 1, "score": 9}\n{"step": 3, "score": 7}\n')
    (tmp_path / "run" / "log.jsonl").write_text('{"step": 3, "seconds": 4.5}\n')
    (tmp_path / "run" / "config.yaml").write_text("size: 32\n")
    write_samples(str(tmp_path / "run"), tmp_path / "clips", 2, frame_step=1.0)
    written = read_card(tmp_path / "clips")
    cost = generator_cost(generator)
    assert (written.parameters, written.gmac_per_clip) == (
        cost.parameters,
        pytest.approx(cost.macs / 1e9, rel=1e-3),
    )
    assert (written.training_seconds, written.config) == (4.5, {"size": 32})
    assert written.training == {"fvd": ((1, 9), (3, 7))}
    assert "--rate" not in written.command
