"""`sample_clips` and `write_samples`: chunk by chunk, on a device, from our generators and a user's."""

import json
import shlex
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import FRAMES, SIZE, config, generator, moving_squares

from vgbench.cli import app
from vgbench.clips import open_source
from vgbench.errors import ConfigError, VgbenchError
from vgbench.evaluation.evaluate import evaluate
from vgbench.protocol.pixels import Resize, resize
from vgbench.records.sample_card import read_card
from vgbench.reference_models import build, load
from vgbench.reference_models.checkpoint import save_generator
from vgbench.reference_models.generator import Generator
from vgbench.training import sampling, train
from vgbench.training.sampling import CHUNK, sample_clips, write_grid, write_samples
from vgbench.training.score import generator_score, score_samples

CONTINUES = {"regularisers": [{"name": "first-frame"}], "generator": generator(first_frame=True)}

OWN = """
import numpy as np

calls = []


def sample(n, seed, device="cpu"):
    calls.append((n, seed, device))
    return np.full((n, 4, 8, 8, 3), seed, np.uint8)


def seeded(n, seed, device="cpu"):
    calls.append((n, seed, device))
    return np.zeros((n, 4, 8, 8, 3), np.uint8)


def anywhere(n, seed):
    return np.zeros((n, 4, 8, 8, 3), np.uint8)


def moved(n, seed, fix="nothing", frame_step=1.0):
    return np.full((n, 4, 8, 8, 3), 100 * (fix == "content") + 10 * frame_step, np.uint8)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "vgbench_test_samplers.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    return "vgbench_test_samplers"


@pytest.fixture
def any_device(monkeypatch):
    """Pretend that this machine has every device."""
    monkeypatch.setattr(sampling, "device_of", torch.device)


@pytest.fixture
def labelled(tmp_path):
    """A generator with classes, and the path of its file."""
    network = build(config(labels=True, classes=list("abcd")))
    save_generator(tmp_path / "generator.safetensors", network, {})
    return network, str(tmp_path / "generator.safetensors")


@pytest.mark.parametrize("fix", [None, "content", "motion"])
def test_clips_depend_on_seed_and_index_whatever_the_chunk(fix, labelled, monkeypatch):
    network, path = labelled
    monkeypatch.setattr(sampling, "CHUNK", 4)
    clips = np.stack(list(sample_clips(path, 10, seed=3, fix=fix)))
    np.testing.assert_array_equal(clips, network.sample(10, seed=3, fix=fix))
    np.testing.assert_array_equal(clips[:5], np.stack(list(sample_clips(path, 5, seed=3, fix=fix))))


def test_a_user_s_sampler_gets_the_seed_and_then_seeds_that_no_other_seed_has(own, monkeypatch):
    import vgbench_test_samplers

    monkeypatch.setattr(sampling, "CHUNK", 4)
    seen = []
    for seed in range(50):
        vgbench_test_samplers.calls.clear()
        list(sample_clips(f"{own}:seeded", 10, seed=seed))
        assert [n for n, *_ in vgbench_test_samplers.calls] == [4, 4, 2]
        assert vgbench_test_samplers.calls[0][1] == seed
        seen += [given for _, given, _ in vgbench_test_samplers.calls]
    assert len(set(seen)) == 150
    assert all(0 <= given < 2**31 for given in seen)


@pytest.mark.parametrize(
    ("arguments", "key", "flag"),
    [
        (["--fix", "content"], "fix", "--fix"),
        (["--rate", "2"], "frame_step", "--rate"),
        (["--device", "mps"], "device", "--device"),
    ],
)
def test_what_a_user_s_sampler_does_not_take_is_an_error(arguments, key, flag, own, tmp_path, any_device):
    command = ["sample", "--from", f"{own}:anywhere", "--out", str(tmp_path / "out"), *arguments]
    with pytest.raises(VgbenchError, match=f"takes no '{key}'") as caught:
        app(command, standalone_mode=False)
    assert caught.value.exit_code == 2
    assert flag in caught.value.remedy
    assert not (tmp_path / "out").exists()


def test_what_a_user_s_sampler_names_is_passed_on(own):
    (clip,) = sample_clips(f"{own}:moved", 1, fix="content", frame_step=0.5)
    assert (clip == 105).all()
    (clip,) = sample_clips(f"{own}:moved", 1, frame_step=1.0)
    assert (clip == 10).all()


def test_device_reaches_a_user_s_sampler_and_the_card(own, tmp_path, any_device):
    import vgbench_test_samplers

    vgbench_test_samplers.calls.clear()
    command = ["sample", f"{own}:sample", "--out", str(tmp_path / "a"), "--count", "2"]
    app([*command, "--device", "mps", "--grid", str(tmp_path / "a.gif")], standalone_mode=False)
    assert {device for _, _, device in vgbench_test_samplers.calls} == {"mps"}
    card = read_card(tmp_path / "a")
    assert card.device == "mps"
    assert "--device mps" in card.command
    write_samples(f"{own}:sample", tmp_path / "b", 1)
    assert vgbench_test_samplers.calls[-1] == (1, 0, "cpu")
    assert read_card(tmp_path / "b").device.startswith("cpu, ")
    assert "--device" not in read_card(tmp_path / "b").command


def test_the_card_names_the_device_that_auto_stands_for(own, tmp_path, monkeypatch):
    monkeypatch.setattr(sampling, "device_of", lambda name: torch.device({"auto": "cuda"}[name]))
    write_samples(f"{own}:sample", tmp_path / "a", 1, device="auto")
    assert read_card(tmp_path / "a").device == "cuda"
    assert "--device auto" in read_card(tmp_path / "a").command


def test_generators_of_vgbench_run_on_the_device(labelled, monkeypatch, any_device):
    """The meta device has shapes and no numbers, so only the place where it would run can be seen."""
    _, path = labelled
    seen = []

    def remembered(video):
        seen.append(video.device)
        return np.zeros((len(video), FRAMES, SIZE, SIZE, 3), np.uint8)

    monkeypatch.setattr("vgbench.reference_models.generator.to_uint8", remembered)
    list(sample_clips(path, 2, device="meta"))
    assert seen == [torch.device("meta")]


@pytest.mark.parametrize("device", ["cuda:99", "nowhere", "meta"])
def test_a_device_that_is_not_there_is_an_error(device, labelled, tmp_path):
    for make in (
        lambda: sample_clips(labelled[1], 1, device=device),
        lambda: write_samples(labelled[1], tmp_path / "clips", 1, device=device),
        lambda: write_grid(labelled[1], tmp_path / "grid.gif", device=device),
    ):
        with pytest.raises(ConfigError, match=f"device '{device}' cannot be used"):
            make()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["generator.safetensors"]


def test_a_score_continues_first_frames_of_real_clips(monkeypatch):
    """Clip i is of brightness 10 i + t at frame t, and of class "a" where i is even."""
    frames = np.arange(FRAMES)[:, None, None, None]
    clips = [np.broadcast_to(10 * i + frames, (FRAMES, SIZE, SIZE, 3)).astype(np.uint8) for i in range(20)]
    real = open_source([(clip, "ab"[i % 2]) for i, clip in enumerate(clips)])
    given = {}
    monkeypatch.setattr(Generator, "sample", lambda self, n, **options: given.update(options, n=n))
    score_samples(build(config(labels=True, classes=["b", "a"], **CONTINUES)), real, 20)
    assert (given["n"], given["seed"]) == (20, 0)
    stills = given["first_frame"]
    assert (stills == stills[:, :1, :1, :1]).all()
    numbers = stills[:, 0, 0, 0] // 10
    assert sorted(stills[:, 0, 0, 0]) == list(range(0, 200, 10)), "frame 0 of every clip"
    assert given["label"] == [1 - number % 2 for number in numbers], "each with its own class"
    score_samples(build(config(**CONTINUES)), real, 4)
    assert given["label"] is None, "no classes in the model"
    score_samples(build(config(labels=True, classes=["c"], **CONTINUES)), real, 4)
    assert given["label"] is None, "other classes than the model's"


@pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")  # the score's own folder
def test_a_run_that_continues_first_frames_is_scored_and_resumed(tmp_path):
    real = moving_squares(16, frames=18)
    one = config(frames=16, score_minutes=1e-9, **CONTINUES)
    score = generator_score(real, "temporal_flicker", clips=16)
    train(one, tmp_path, steps=1, score=score, source=real)
    train(one, tmp_path, steps=2, score=score, source=real, resume=True)
    lines = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert {line["step"] for line in lines} == {1, 2}
    model = load(tmp_path, "last")
    assert score(model) == score(model) == lines[-1]["score"], "the same first frames every time"


@pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")  # the score's own folder
def test_clips_shorter_than_the_protocol_are_scored_whole(tmp_path):
    """The protocol calls for 16 frames and at least 16 clips."""
    real = moving_squares(12, frames=9)
    one = config(frames=8)
    score = generator_score(real, clips=32)
    summary = train(one, tmp_path, steps=1, score=score, source=real)
    assert summary.unscored is None
    assert summary.best_score == score(load(tmp_path, "last")) > 0


@pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")  # the score's own folder
def test_clips_that_the_extractor_does_not_take_train_without_a_score(tmp_path):
    real = moving_squares(12, frames=9)
    one = config(frames=4, score_minutes=1e-9)
    summary = train(one, tmp_path, steps=3, score=generator_score(real), source=real)
    assert summary.steps == 3
    assert summary.best_score is None
    assert "needs at least 8 frames" in summary.unscored
    assert not (tmp_path / "scores.jsonl").exists()
    load(tmp_path)


def test_sampling_without_the_first_frame_says_what_to_give(tmp_path):
    save_generator(tmp_path / "generator.safetensors", build(config(**CONTINUES)), {})
    command = ["sample", str(tmp_path / "generator.safetensors"), "--out", str(tmp_path / "clips")]
    with pytest.raises(VgbenchError, match="continues a first frame") as caught:
        app(command, standalone_mode=False)
    assert "--first-frame" in caught.value.remedy
    assert not (tmp_path / "clips").exists()
    Image.new("RGB", (20, 20)).save(tmp_path / "black.png")
    app([*command, "--count", "2", "--first-frame", str(tmp_path / "black.png")], standalone_mode=False)
    assert len(list((tmp_path / "clips").glob("*.mkv"))) == 2


def test_a_folder_of_samples_is_replaced_whole_and_no_other_is_touched(own, tmp_path):
    out = tmp_path / "out"
    write_samples(f"{own}:sample", out, 5)
    write_samples(f"{own}:sample", out, 2, "gif", fps=4)
    assert sorted(path.name for path in out.iterdir()) == ["00000.gif", "00001.gif", "sampling.json"]
    assert len(open_source(str(out)).clips) == read_card(out).clips == 2
    assert "--format gif --fps 4" in read_card(out).command
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "clip.mp4").write_bytes(b"mine")
    with pytest.raises(VgbenchError, match="did not write"):
        write_samples(f"{own}:sample", mine, 2)
    assert [path.name for path in mine.iterdir()] == ["clip.mp4"]


def test_the_command_of_a_card_makes_the_folder_again(own, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_samples(f"{own}:sample", "out", 2, "gif", seed=3, fps=4)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.gif")}
    words = shlex.split(read_card("out").command)
    shutil.rmtree("out")
    app(words[1:], standalone_mode=False)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.gif")} == before


def test_clips_of_a_model_with_classes_lie_in_folders_of_their_class(labelled, tmp_path):
    network, path = labelled
    write_samples(path, tmp_path / "out", 12, seed=5)
    clips = {clip.id.split("/")[1]: clip for clip in open_source(str(tmp_path / "out")).clips}
    drawn = network.labels(range(12), seed=5)
    expected = network.sample(12, seed=5, label=drawn)
    for index, name in enumerate(sorted(clips)):
        assert clips[name].label == "abcd"[drawn[index]]
        np.testing.assert_array_equal(clips[name].read(range(FRAMES)), expected[index])
    assert len({clip.label for clip in clips.values()}) > 1
    write_samples(path, tmp_path / "out", 3, label="c")
    assert {clip.label for clip in open_source(str(tmp_path / "out")).clips} == {"c"}


def test_every_clip_may_have_a_label_of_its_own(tmp_path):
    model = build(config(labels=True, classes=["a", "b"]))
    save_generator(tmp_path / "generator.safetensors", model, {})
    labels = ["ab"[i % 3 == 0] for i in range(CHUNK + 3)]
    clips = list(sample_clips(str(tmp_path / "generator.safetensors"), len(labels), label=labels))
    np.testing.assert_array_equal(np.stack(clips), model.sample(len(labels), label=labels))
    with pytest.raises(VgbenchError, match="3 labels for 4 clips"):
        list(sample_clips(str(tmp_path / "generator.safetensors"), 4, label=labels[:3]))


@pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")  # the score's own folder
def test_a_score_during_training_looks_at_real_clips_with_the_stride_of_the_training():
    real = open_source("builtin:moving-shapes/test?size=32&frames=64&clips=48")
    other = open_source("builtin:moving-shapes/train?size=32&frames=64&clips=48").clips

    class EveryFrame:
        stride = 1

        def sample(self, n, seed=0):
            return np.stack([clip.read(range(0, 16 * self.stride, self.stride)) for clip in other[:n]])

    class EveryFourthFrame(EveryFrame):
        stride = 4

    for right, wrong in ((EveryFrame, EveryFourthFrame), (EveryFourthFrame, EveryFrame)):
        score = generator_score(real, clips=48, stride=right.stride)
        assert score(right()) < 0.3 * score(wrong())


def unequal(rare=2, common=30):
    """Clips of two classes that occur unequally often, and of one that cannot be used."""
    clips = moving_squares(rare + common, frames=12).clips
    pairs = [(clip.frames, "rare" if number < rare else "common") for number, clip in enumerate(clips)]
    return open_source([*pairs, (np.zeros((3, SIZE, SIZE, 3), np.uint8), "short")])


@pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")  # the score's own folder
def test_classes_are_drawn_as_often_as_they_occur_in_the_data(tmp_path):
    drawn = []

    def score(model):
        drawn.append(model.labels(range(200)))
        return 1.0

    run = tmp_path / "run"
    train(config(labels=True, steps=2, score_minutes=1e-9), run, source=unequal(), score=score)
    for which in ("first", "best", "last"):
        model = load(run, which)
        assert model.class_counts == (30, 2, 0)
        labels = np.bincount(model.labels(range(2000)), minlength=3)
        assert labels[2] == 0, "a class without a usable clip"
        assert abs(labels[1] - 2000 * 2 / 32) < 3 * np.sqrt(2000 * 2 / 32)
        assert model.labels(range(200)) == drawn[0] == drawn[-1], "as the score during training"
        balanced = np.bincount(model.labels(range(3000), balanced=True), minlength=3)
        assert (abs(balanced - 1000) < 3 * np.sqrt(1000)).all()
        np.testing.assert_array_equal(model.sample(5), model.sample(5, label=model.labels(range(5))))
    for flags, folders, how in (
        ([], {"common", "rare"}, "counts"),
        (["--balanced"], {"common", "rare", "short"}, "balanced"),
        (["--class", "rare"], {"rare"}, "given"),
    ):
        app(["sample", str(run), "-o", str(tmp_path / how), "-n", "40", *flags], standalone_mode=False)
        assert {path.name for path in (tmp_path / how).iterdir() if path.is_dir()} == folders
        card = read_card(tmp_path / how)
        assert card.labels == card.details()["sampled"]["labels"] == how
        assert ("--balanced" in card.command) == (how == "balanced")


def test_a_checkpoint_without_counts_is_sampled_as_before_and_says_so(tmp_path, capsys):
    model = build(config(labels=True, classes=("a", "b")))
    save_generator(tmp_path / "old.safetensors", model, details={"steps": 1})
    old = load(tmp_path / "old.safetensors")
    assert old.class_counts == ()
    as_ever = [int(np.random.default_rng([5, row, 2]).integers(2)) for row in range(50)]
    assert old.labels(range(50), 5) == old.labels(range(50), 5, balanced=True) == as_ever
    app(
        ["sample", str(tmp_path / "old.safetensors"), "-o", str(tmp_path / "out"), "-n", "2"],
        standalone_mode=False,
    )
    assert read_card(tmp_path / "out").labels == "uniform"
    assert "all classes were drawn equally often" in capsys.readouterr().err.replace("\n", " ")
    assert read_card(tmp_path / "out").model_copy(update={"labels": None}).details()["sampled"].keys() == {
        "command",
        "clips",
        "device",
    }


@pytest.mark.parametrize("counts", [[1], [1, -2], [0, 0], "ab", [1.5, 2], {"a": 1}])
def test_class_counts_that_cannot_be_are_damage(counts, tmp_path):
    model = build(config(labels=True, classes=("a", "b")))
    save_generator(tmp_path / "a.safetensors", model, details={"class_counts": counts})
    with pytest.raises(VgbenchError, match="its class counts do not fit its classes"):
        load(tmp_path / "a.safetensors")


def test_samples_have_the_frame_rate_of_the_training_clips(tmp_path):
    source = open_source(np.stack([clip.read(range(12)) for clip in moving_squares(8).clips]), fps=24)
    train(
        config(frames=4, stride=2, steps=1, generator=generator("fourier")), tmp_path / "run", source=source
    )
    assert load(tmp_path / "run").frame_rate == 12

    def rate(*flags):
        out = tmp_path / "".join(flags).strip("-").replace(".", "_")
        app(["sample", str(tmp_path / "run"), "-o", f"{out}x", "-n", "1", *flags], standalone_mode=False)
        (clip,) = open_source(f"{out}x").clips
        return clip.frame_rate()

    assert rate() == 12
    assert rate("--rate", "2") == 24
    assert rate("--fps", "5") == 5
    train(config(steps=1), tmp_path / "unknown", source=moving_squares())
    write_samples(str(tmp_path / "unknown"), tmp_path / "usual", 1)
    assert open_source(tmp_path / "usual").clips[0].frame_rate() == sampling.USUAL_FPS


@pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")  # the score's own folder
def test_a_score_during_training_brings_real_clips_to_the_size_of_the_model():
    """Clips of a perfect generator of 16 pixels are real ones at 16 pixels."""
    real = open_source("builtin:moving-shapes/test?size=32&clips=6")

    class Perfect:
        size = 16

        def sample(self, n, seed=0):
            policy = Resize(size=self.size)
            return np.stack([resize(clip.read(range(16)), policy) for clip in real.clips[:n]])

    class AsSharpAsTheData(Perfect):
        size = 32

    score = generator_score(real, clips=6)
    assert score(Perfect()) == pytest.approx(0, abs=1e-3)
    assert score(AsSharpAsTheData()) == pytest.approx(0, abs=1e-3)
    mixed = evaluate(Perfect().sample(6), real, metrics=["fvd"], settings=["clips.least=2"])
    assert mixed.scores["fvd"].value > 10
    assert "native-sizes" in dict(mixed.warnings)
