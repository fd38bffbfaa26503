"""Whole runs: folder, resumption, locks, divergence, several processes."""

import dataclasses
import itertools
import json
import math
import multiprocessing
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import types
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import FRAMES, SIZE, config, generator, moving_squares
from typer.testing import CliRunner

from vgbench.cli import app
from vgbench.clips import Skipped, open_source
from vgbench.config import to_yaml
from vgbench.distributed import World, joined_world
from vgbench.errors import VgbenchError
from vgbench.evaluation.evaluate import evaluate
from vgbench.reference_models import load
from vgbench.reference_models.checkpoint import read_metadata
from vgbench.reference_models.generator import Generator
from vgbench.training import Diverged, read_config, run, train, trainer
from vgbench.training.data import Windows
from vgbench.training.divergence import look_ahead
from vgbench.training.inputs import draw, seeded_layers
from vgbench.training.networks import build_networks
from vgbench.training.phases import discriminator_phase
from vgbench.training.state import read_counters
from vgbench.training.trainer import training_step

TWO_DISCRIMINATORS = [
    {"name": "video3d", "channels": 4, "norm": "spectral", "noise": 0.1},
    {"name": "image", "channels": 4, "norm": "batch"},
]


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def full(**changes):
    """A config with every kind of state: batch and spectral norm, noise, momentum, memory, schedule."""
    return config(
        discriminators=TWO_DISCRIMINATORS,
        regularisers=[{"name": "periodicity", "interval": 2}],
        optimiser={"betas": [0.5, 0.9]},
        augment=["colour", "translation"],
        discriminator_steps=2,
        **changes,
    )


def weights(folder):
    return load_file(folder / "checkpoints" / "last.safetensors")


def assert_equal_runs(a, b):
    left, right = weights(a), weights(b)
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []


def test_run_folder_holds_what_it_promises(tmp_path):
    seen = []
    summary = train(full(), tmp_path, steps=3, progress=seen.append, source=moving_squares())
    assert (summary.steps, summary.clips, summary.stopped) == (3, 12, "steps")
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3] == [one.step for one in seen]
    assert {"generator_loss", "discriminator_loss", "real_score_1", "seconds_per_step"} <= lines[0].keys()
    assert (tmp_path / "config.yaml").exists()
    assert (tmp_path / "samples" / "0000003.gif").exists()
    assert (tmp_path / "samples" / "real.gif").exists()
    clips = load(tmp_path).sample(3, seed=1)
    assert clips.shape == (3, FRAMES, SIZE, SIZE, 3)
    assert not np.array_equal(clips, load(tmp_path, which="first").sample(3, seed=1))
    np.testing.assert_array_equal(clips, load(tmp_path / "generator.safetensors").sample(3, seed=1))


def test_resumed_run_equals_the_uninterrupted_one_to_the_last_bit(tmp_path):
    train(full(), tmp_path / "whole", steps=6, source=moving_squares())
    train(full(), tmp_path / "parts", steps=3, source=moving_squares())
    train(full(), tmp_path / "parts", steps=6, resume=True, source=moving_squares())
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")
    steps = [json.loads(line)["step"] for line in (tmp_path / "parts" / "log.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5, 6]


SCRIPT = """
import sys, torch
sys.path.insert(0, {tests!r})
torch.set_num_threads(1)
from tiny import moving_squares
from test_training_runs import full
from vgbench.training import train
from pathlib import Path
def told(progress):
    Path({folder!r}, "step").write_text(str(progress.step))
train(full(checkpoint_minutes=1e-6), {folder!r}, steps={steps}, source=moving_squares(), progress=told)
"""


def start(folder, steps):
    script = SCRIPT.format(tests=str(Path(__file__).parent), folder=str(folder), steps=steps)
    return subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "OMP_NUM_THREADS": "1"})


def wait_for_step(folder, step):
    for _ in range(2400):
        time.sleep(0.05)
        told = folder / "step"
        if told.exists() and (text := told.read_text()) and int(text) >= step:
            return
    raise AssertionError("the trainer never got there")


def test_running_trainer_owns_its_folder_and_a_killed_one_resumes_to_the_same_weights(tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = start(killed, 10_000)
    try:
        wait_for_step(killed, 3)
        with pytest.raises(VgbenchError, match=f"process {process.pid} on"):
            train(full(), killed, steps=2, resume=True, source=moving_squares())
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    # The last line may be ahead of the last checkpoint, or cut off.
    with (killed / "log.jsonl").open("a") as file:
        file.write('{"step": 99')
    done = max(json.loads(line)["step"] for line in (killed / "log.jsonl").read_text().splitlines()[:-1])
    train(full(), whole, steps=done + 2, source=moving_squares())
    train(full(), killed, steps=done + 2, resume=True, source=moving_squares())
    assert_equal_runs(whole, killed)


def test_terminated_run_writes_a_checkpoint_first(tmp_path):
    def terminated(progress):
        if progress.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    summary = train(full(), tmp_path, steps=10_000, source=moving_squares(), progress=terminated)
    assert (summary.steps, summary.stopped) == (2, "interrupted")
    assert read_counters(tmp_path / "checkpoints" / "last.safetensors")["step"] == 2
    assert load(tmp_path).sample(1).shape[0] == 1
    assert signal.getsignal(signal.SIGTERM) is before


def test_folder_with_a_run_needs_resume(tmp_path):
    train(full(), tmp_path, steps=1, source=moving_squares())
    with pytest.raises(VgbenchError, match="already contains a run"):
        train(full(), tmp_path, steps=2, source=moving_squares())
    with pytest.raises(VgbenchError, match="another seed"):
        train(full(seed=1), tmp_path, steps=2, resume=True, source=moving_squares())


def test_resuming_an_empty_folder_begins(tmp_path):
    assert train(full(), tmp_path, steps=1, resume=True, source=moving_squares()).steps == 1


def test_divergence_stops_with_a_reason_and_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    train(full(), tmp_path, steps=2, source=moving_squares())
    path = tmp_path / "checkpoints" / "last.safetensors"
    kept = path.read_bytes()
    original = trainer.generator_phase

    def broken(*arguments):
        return original(*arguments) | {"generator_loss": float("nan")}

    monkeypatch.setattr(trainer, "generator_phase", broken)
    with pytest.raises(Diverged, match="step 3: generator_loss is nan"):
        train(full(), tmp_path, steps=4, resume=True, source=moving_squares())
    assert path.read_bytes() == kept
    last_line = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert last_line["step"] == 3
    assert math.isnan(last_line["generator_loss"])


def without_norm(learning_rate, **changes):
    return config(
        discriminators=[{"name": "video3d", "channels": 4, "norm": "none"}],
        optimiser={"discriminator_lr": learning_rate, "generator_lr": learning_rate},
        **changes,
    )


@pytest.mark.parametrize("steps", [1, 50])
def test_a_learning_rate_beyond_all_reason_leaves_no_checkpoint_that_it_ruined(steps, tmp_path):
    """Its first step has sound numbers, which are those of the weights before it."""
    one = without_norm(1e4, checkpoint_minutes=1e-6)
    with pytest.raises(Diverged, match="step 1: real_score_0 is") as caught:
        train(one, tmp_path, steps=steps, source=moving_squares())
    assert "no checkpoint yet" in caught.value.remedy
    assert not (tmp_path / "checkpoints" / "last.safetensors").exists()
    assert load(tmp_path, which="first").sample(1).shape == (1, FRAMES, SIZE, SIZE, 3)


def test_diverged_run_goes_on_as_its_message_says(tmp_path):
    train(without_norm(1e-3), tmp_path, steps=2, source=moving_squares())
    for _ in range(2):  # the same again diverges again, and spoils nothing
        with pytest.raises(Diverged) as caught:
            train(without_norm(1e4), tmp_path, steps=6, resume=True, source=moving_squares())
        assert (
            f"continue from step 2 with lower learning rates: vgbench train -o {tmp_path}"
            in caught.value.remedy
        )
    assert "--set optimiser.generator_lr=5000" in caught.value.remedy
    assert train(without_norm(1e-3), tmp_path, steps=6, resume=True, source=moving_squares()).steps == 6
    train(without_norm(1e-3), tmp_path / "whole", steps=6, source=moving_squares())
    assert_equal_runs(tmp_path / "whole", tmp_path)
    assert "generator_lr: 0.001" in (tmp_path / "config.yaml").read_text()


def test_moments_of_the_optimiser_cannot_be_set_anew(tmp_path):
    train(config(), tmp_path, steps=1, source=moving_squares())
    with pytest.raises(VgbenchError, match=r"another optimiser\.betas$"):
        train(config(optimiser={"betas": [0.5, 0.9]}), tmp_path, resume=True, source=moving_squares())


def test_looking_at_the_next_step_changes_nothing(tmp_path):
    """However often a checkpoint, and with it a look at the next step, is due."""
    train(full(checkpoint_minutes=1e-6), tmp_path / "often", steps=4, source=moving_squares())
    train(full(), tmp_path / "once", steps=4, source=moving_squares())
    assert_equal_runs(tmp_path / "often", tmp_path / "once")


def test_the_scores_that_are_foreseen_are_those_of_the_next_step():
    one, alone = full(batch=4, micro_batch=4), World()
    networks = build_networks(one)
    with trainer.opened_windows(one, moving_squares()) as windows:
        trainer.training_step(one, networks, alone, windows, 0)
        expected = look_ahead(one, networks, alone, windows, 1)
        draws = draw(one, networks, 1, 0)
        batch = windows.batch(range(8, 12))  # two phases of four clips a step
        with seeded_layers(one, alone, 1, 0, torch.device("cpu")):
            found = discriminator_phase(one, networks, alone, 1, batch, draws)
    compared = [name for name in expected if "score" in name]
    assert len(compared) == 4
    assert [expected[name] for name in compared] == [found[name] for name in compared]
    assert expected["generator_largest_weight"] == max(
        float(value.abs().max())
        for name, value in networks.generator.state_dict().items()
        if not name.endswith("num_batches_tracked")
    )


def test_best_checkpoint_is_the_one_with_the_lowest_score(tmp_path):
    scores = iter([3.0, 1.0, 2.0, 5.0])
    sampled = []

    def score(model):
        sampled.append(model.sample(1, seed=0))
        return next(scores)

    summary = train(full(score_minutes=1e-9), tmp_path, steps=3, score=score, source=moving_squares())
    assert summary.best_score == 1.0
    np.testing.assert_array_equal(load(tmp_path, which="best").sample(1, seed=0), sampled[1])
    assert not np.array_equal(sampled[1], sampled[3])


def scored(folder, steps, score, **options):
    """Train to `steps`, whose end has this score; the best so far."""
    return train(
        full(), folder, steps=steps, score=lambda _: score, source=moving_squares(), **options
    ).best_score


def best_score(folder):
    return read_metadata(folder / "checkpoints" / "best.safetensors")[1]["score"]


def test_a_resumed_run_knows_the_last_score_of_the_part_before(tmp_path):
    assert scored(tmp_path, 1, 1.0) == 1.0
    best = (tmp_path / "checkpoints" / "best.safetensors").read_bytes()
    assert scored(tmp_path, 2, 5.0, resume=True) == 1.0
    assert (tmp_path / "checkpoints" / "best.safetensors").read_bytes() == best


def test_a_score_younger_than_the_checkpoint_survives(tmp_path):
    last = tmp_path / "checkpoints" / "last.safetensors"
    scored(tmp_path, 1, 3.0)
    older = last.read_bytes()
    scored(tmp_path, 2, 1.0, resume=True)
    last.write_bytes(older)  # as if killed after the score and before the checkpoint
    assert scored(tmp_path, 3, 2.0, resume=True) == 1.0
    assert best_score(tmp_path) == 1.0


def test_other_data_start_a_best_score_of_their_own(tmp_path):
    def part(steps, score, seed, **options):
        return train(
            full(data=f"moved-{seed}"),
            tmp_path,
            steps=steps,
            score=lambda _: score,
            source=moving_squares(seed=seed),
            **options,
        ).best_score

    part(1, 1.0, 0)
    assert part(2, 5.0, 1, resume=True) == best_score(tmp_path) == 5.0
    kept = tmp_path / "checkpoints" / "best-0000001.safetensors"
    assert read_metadata(kept)[1]["score"] == 1.0, "nothing is lost"
    assert [json.loads(line)["step"] for line in (tmp_path / "scores.jsonl").read_text().splitlines()] == [2]
    assert part(3, 6.0, 1, resume=True) == 5.0, "the same data go on"


def test_patience_ends_a_run_after_so_many_scores_that_are_not_better(tmp_path):
    given = [5.0, 3.0, 4.0, float("nan"), 3.0]

    def part(scores, steps, **options):
        ready = iter(scores)
        return train(
            full(score_minutes=1e-9, patience=3),
            tmp_path,
            steps=steps,
            score=lambda _: next(ready),
            source=moving_squares(),
            **options,
        )

    summary = part([*given, 9.0], 20)
    assert (summary.stopped, summary.best_score) == ("converged", 3.0)
    lines = (tmp_path / "scores.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4, 5, 5]
    assert json.loads(lines[-1])["score"] == 9.0, "the last score is taken at the end"


def test_patience_counts_the_scores_of_the_part_before(tmp_path):
    def part(score, steps, **options):
        one = full(patience=2)
        return train(one, tmp_path, steps=steps, score=lambda _: score, source=moving_squares(), **options)

    assert part(1.0, 1).stopped == "steps"
    assert part(2.0, 2, resume=True).stopped == "steps"
    assert part(3.0, 3, resume=True).stopped == "steps"
    assert part(3.0, 9, resume=True).steps == 3, "two scores in a row were no better"


def test_patience_needs_a_score(tmp_path):
    with pytest.raises(VgbenchError, match="patience = 2, but the generator is not scored"):
        train(full(patience=2), tmp_path, steps=1, source=moving_squares())


def test_a_run_with_styles_resumes_to_the_last_bit(tmp_path):
    one = config(
        generator=generator(decoder={"name": "style"}),
        discriminators=[{"name": "video3d", "channels": 4, "norm": "equalised", "blocks": "residual"}],
        augment=["translation"],
        augment_target=0.6,
        augment_clips=32,
    )
    train(one, tmp_path / "once", steps=4, source=moving_squares())
    train(one, tmp_path / "parts", steps=2, source=moving_squares())
    train(one, tmp_path / "parts", steps=4, resume=True, source=moving_squares())
    assert_equal_runs(tmp_path / "once", tmp_path / "parts")


def test_a_run_that_begins_again_forgets_the_best_of_the_one_before(tmp_path):
    scored(tmp_path, 1, 1.0)
    (tmp_path / "checkpoints" / "last.safetensors").unlink()
    assert scored(tmp_path, 1, 5.0) == best_score(tmp_path) == 5.0


def test_interrupted_command_says_how_to_go_on_with_all_that_was_asked_for(tmp_path, monkeypatch):
    data = f"builtin:moving-shapes?size={SIZE}&frames={FRAMES}&clips=4"
    run_folder, preset = tmp_path / "a run", tmp_path / "tiny.yaml"
    preset.write_text(to_yaml(config()))
    options = ["--data", data, "--set", "seed=3", "--minutes", "9", "--no-score"]
    with monkeypatch.context() as patched:
        patched.setattr(
            trainer,
            "train",
            lambda *a, **k: dataclasses.replace(train(*a, steps=1, **k), stopped="interrupted"),
        )
        stopped = CliRunner().invoke(app, ["train", str(preset), "-o", str(run_folder), *options])
    assert stopped.exit_code == 130
    _, _, command = stopped.stderr.partition("continue with: ")
    program, *arguments = shlex.split(command)
    assert program == "vgbench"
    resumed = CliRunner().invoke(app, [*arguments, "--steps", "2", "--no-score"])
    assert resumed.exit_code == 0, resumed.stderr
    assert resumed.stdout.startswith(f"{run_folder}: 2 steps")
    after = read_config(run_folder / "config.yaml")
    assert (after.data, after.seed, after.steps, after.minutes) == (data, 3, 2, None)


def test_data_of_a_resumed_run_has_no_class_that_the_run_does_not_know(tmp_path):
    train(config(labels=True), tmp_path, steps=1, source=moving_squares(labels=True))
    own = read_config(tmp_path / "config.yaml")
    other = open_source([(np.zeros((FRAMES, SIZE, SIZE, 3), np.uint8), label) for label in "abc"])
    with pytest.raises(VgbenchError, match="classes that the config does not name: c"):
        train(own, tmp_path, steps=2, resume=True, source=other)


def test_needs_a_limit(tmp_path):
    with pytest.raises(VgbenchError, match="steps nor minutes"):
        train(config(steps=None), tmp_path, source=moving_squares())


def test_minutes_stop_a_run(tmp_path):
    summary = train(config(steps=None), tmp_path, minutes=0.01, source=moving_squares())
    assert summary.stopped == "minutes"
    assert summary.seconds >= 0.6


def test_seconds_of_a_resumed_run_are_those_of_all_its_parts_and_no_scoring(tmp_path, monkeypatch):
    """Every step takes 7 seconds by a clock that only steps and scores move; a score takes 1,000."""
    clock, scores = [0.0], itertools.count()
    monkeypatch.setattr(run, "time", types.SimpleNamespace(monotonic=lambda: clock[0]))

    def slow_step(*arguments):
        clock[0] += 7
        return training_step(*arguments)

    def slow_score(_):
        clock[0] += 1000
        return float(next(scores))

    def part(**limits):
        clock[0] += 500  # between two parts nobody trains
        one = config(steps=None, score_minutes=0.2)  # due at 14 seconds, after two steps
        return train(one, tmp_path, source=moving_squares(), score=slow_score, progress=told.append, **limits)

    told = []
    monkeypatch.setattr(trainer, "training_step", slow_step)
    assert part(steps=3).seconds == 21
    assert part(minutes=0.5, resume=True).seconds == 35, "stopped by the first step beyond half a minute"
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["seconds"] for line in lines] == [one.seconds for one in told] == [7, 14, 21, 28, 35]
    assert [line["seconds_per_step"] for line in lines] == [one.seconds_per_step for one in told] == [7] * 5
    scored = [json.loads(line)["step"] for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert scored == [2, 3, 5, 5], "after twelve seconds of each part, and at its end"


def test_data_is_opened_from_the_config(tmp_path):
    train(config(data="builtin:moving-shapes?size=16&frames=8&clips=4"), tmp_path, steps=1)
    assert load(tmp_path).config.frames == FRAMES


def test_folder_of_frame_strips_trains_with_its_labels(shape_motion, tmp_path):
    train(config(data=str(shape_motion), labels=True), tmp_path, steps=1)
    model = load(tmp_path)
    assert model.config.classes == ("0", "1")
    assert model.sample(2, label="1").shape == (2, FRAMES, SIZE, SIZE, 3)


def test_generator_that_continues_a_frame_shows_samples_again_after_resuming(tmp_path):
    one = config(generator=generator(first_frame=True), regularisers=[{"name": "first-frame"}])
    train(one, tmp_path, steps=1, source=moving_squares())
    train(one, tmp_path, steps=2, resume=True, source=moving_squares())
    assert (tmp_path / "samples" / "0000002.gif").exists()
    still = np.zeros((SIZE, SIZE, 3), np.uint8)
    assert load(tmp_path).sample(2, first_frame=still).shape == (2, FRAMES, SIZE, SIZE, 3)


def test_samples_that_continue_frames_have_the_classes_of_these(tmp_path, monkeypatch):
    one = config(
        labels=True,
        classes=["a", "b"],
        generator=generator(first_frame=True),
        regularisers=[{"name": "first-frame"}],
    )
    asked = []
    sample = Generator.sample

    def noted(self, n, **options):
        asked.append(options)
        return sample(self, n, **options)

    monkeypatch.setattr(Generator, "sample", noted)
    clips = [(np.full((FRAMES, SIZE, SIZE, 3), 10 * i, np.uint8), "ab"[i % 2]) for i in range(16)]
    train(one, tmp_path, steps=1, source=open_source(clips))
    stills = asked[-1]["first_frame"][:, 0, 0, 0]
    assert sorted(stills) == list(range(0, 160, 10))
    assert asked[-1]["label"] == [int(still) // 10 % 2 for still in stills]


@pytest.fixture(scope="module")
def two_processes():
    """Call `work(rank, folder)` in two processes that see each other as `torchrun` would let them.

    They are started once for all tests, since importing torch takes them longer than any of the work.
    """
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        ranks = [stack.enter_context(ProcessPoolExecutor(1, context)) for _ in range(2)]

        def run_both(work, folder):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            done = [one.submit(_rank, work, rank, port, folder) for rank, one in enumerate(ranks)]
            for one in done:
                one.result(300)

        yield run_both


def _rank(work, rank, port, folder):
    os.environ |= {
        "RANK": str(rank),
        "WORLD_SIZE": "2",
        "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "VGBENCH_TIMEOUT_MINUTES": "1",
    }
    torch.set_num_threads(1)
    work(rank, folder)


def shared_config():
    return config(
        generator=generator(decoder={"norm": "none"}),
        discriminators=[
            {"name": "video3d", "channels": 4, "norm": "spectral"},
            {"name": "time-conditioned", "channels": 4, "norm": "none"},
        ],
        loss={"name": "non-saturating"},
        regularisers=[{"name": "r1"}, {"name": "gradient-penalty"}],
        optimiser={"generator_lr": 1e-3, "discriminator_lr": 1e-3, "betas": [0.5, 0.9]},
    )


def _train_shared(_rank, folder):
    train(shared_config(), folder, steps=3, source=moving_squares())


def test_two_processes_train_like_one(tmp_path, two_processes):
    train(shared_config(), tmp_path / "one", steps=3, source=moving_squares())
    two_processes(_train_shared, tmp_path / "two")
    alone, together = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name in alone:
        if name.startswith(("generator/", "discriminator")):
            torch.testing.assert_close(together[name], alone[name], atol=1e-5, rtol=1e-4, msg=name)


def flicker(model):
    """A real score, of few clips, whose measuring would be shared out among processes."""
    settings = ["clips.least=4", f"windows.frames={FRAMES}", f"resize.size={SIZE}"]
    record = evaluate(model.sample(8), moving_squares(), metrics=["temporal_flicker"], settings=settings)
    return record.scores["temporal_flicker"].best_estimate


def _train_scored(rank, folder):
    one, hours = config(score_minutes=1e-9, steps=3, minutes=30), itertools.count(0, 3600)
    with pytest.MonkeyPatch.context() as patched:
        if rank == 1:  # its hours pass while it waits for the score
            patched.setattr(run, "time", types.SimpleNamespace(monotonic=lambda: next(hours)))
        summary = train(one, folder, score=flicker, source=moving_squares())
    (folder / f"summary-{rank}").write_text(json.dumps([summary.stopped, summary.best_score]))


def test_two_processes_score_as_one_would_and_the_main_one_keeps_the_time(tmp_path, two_processes):
    two_processes(_train_scored, tmp_path)
    scores = [json.loads(line)["score"] for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert len(scores) == 4, "after each step and at the end"
    assert flicker(load(tmp_path, which="best")) == pytest.approx(min(scores))
    summaries = [json.loads((tmp_path / f"summary-{rank}").read_text()) for rank in range(2)]
    assert summaries == [["steps", min(scores)]] * 2


def sparse_config():
    """The class head has a gradient in every second step only, and an optimiser with a memory."""
    return config(
        labels=True,
        classes=["a", "b"],
        generator=generator(decoder={"norm": "none"}),
        discriminators=[{"name": "video3d", "channels": 4, "norm": "none"}],
        loss={"name": "non-saturating"},
        regularisers=[{"name": "categorical-information", "interval": 2}],
        optimiser={
            "generator_lr": 1e-3,
            "discriminator_lr": 1e-3,
            "betas": [0.5, 0.9],
            "weight_decay": 0.1,
        },
    )


def _train_sparse(_rank, folder):
    train(sparse_config(), folder, steps=4, source=moving_squares(labels=True))


def test_what_has_no_gradient_in_a_step_moves_in_two_processes_as_little_as_in_one(tmp_path, two_processes):
    train(sparse_config(), tmp_path / "one", steps=4, source=moving_squares(labels=True))
    two_processes(_train_sparse, tmp_path / "two")
    alone, together = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name in alone:
        if name.startswith(("generator/", "discriminator")):
            torch.testing.assert_close(together[name], alone[name], atol=1e-5, rtol=1e-4, msg=name)


def _train_clipped(rank, folder):
    one = config(
        loss={"name": "wgan"},
        discriminators=[{"name": "video3d", "channels": 4, "norm": "batch"}],
        regularisers=[{"name": "singular-value-clipping", "interval": 2}],
    )
    networks = build_networks(one)
    with joined_world() as world:
        source = Windows(moving_squares(), one.size, one.frames, one.stride, one.seed)
        for step in range(5):
            training_step(one, networks, world, source, step)
        source.close()
    folder.mkdir(exist_ok=True)
    torch.save(dict(networks.discriminators[0].named_parameters()), folder / f"{rank}.pt")


def test_processes_stay_alike_where_a_constraint_looks_at_running_statistics(tmp_path, two_processes):
    two_processes(_train_clipped, tmp_path / "two")
    first, second = (torch.load(tmp_path / "two" / f"{rank}.pt") for rank in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_files_that_cannot_be_listed_as_clips_are_named(tmp_path: Path) -> None:
    data = dataclasses.replace(moving_squares(), skipped=[Skipped("c1", "frame 3 is missing")])
    assert train(config(steps=1), tmp_path / "run", source=data).skipped == {"c1": "frame 3 is missing"}
