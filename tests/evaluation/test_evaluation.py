from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from stub_extractor import StubExtractor

import vgbench
from vgbench.clips import ClipSource, open_source
from vgbench.errors import ConfigError, NotEnoughClips, SkippedClips, VgbenchError
from vgbench.evaluation.feature_store import FeatureStore
from vgbench.metrics import METRICS, Score
from vgbench.protocol import load
from vgbench.records.record import load_record

SMALL = ["clips.generated=24", "clips.real=24", "clips.least=4", "resize.size=32"]
CHEAP = ["fvd", "kvd", "is", "temporal_flicker"]
TRAIN = "builtin:moving-shapes/train?size=32&clips=30"
TEST = "builtin:moving-shapes/test?size=32&clips=30"


def _evaluate(generated=TRAIN, real=TEST, **options):
    defaults = {"metrics": CHEAP, "settings": SMALL, "extractor": StubExtractor(), "protocol": "quick"}
    return vgbench.evaluate(generated, real, **(defaults | options))


def _numbers(record):
    return {
        name: (s.value, s.best_estimate, s.standard_error, s.interval) for name, s in record.scores.items()
    }


def _strip(path, frames, seed, size=16):
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size * frames, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 0), (7, 2), (32, 0), ("auto", 0), ("auto", 2)])
def test_batch_size_and_workers_change_nothing(batch_size, workers, tmp_path):
    plain = _evaluate(store=FeatureStore(tmp_path / "a"))
    other = _evaluate(store=FeatureStore(tmp_path / "b"), batch_size=batch_size, workers=workers)
    for name, numbers in _numbers(plain).items():
        np.testing.assert_allclose(np.hstack(numbers), np.hstack(_numbers(other)[name]), rtol=1e-6)
    assert plain.signature == other.signature
    assert other.environment["batch_size"].split(":")[0] == str(batch_size)
    assert other.environment["compiled"] == "False"


def test_listing_order_changes_nothing(tmp_path):
    source = open_source(TRAIN)
    backwards = ClipSource(source.name, source.clips[::-1], source.skipped)
    assert _numbers(_evaluate()) == _numbers(_evaluate(backwards, store=FeatureStore(tmp_path)))


def test_same_clips_are_at_distance_zero_and_have_no_error():
    """The jackknife takes both sides for independent draws and would correct 0 to far below 0."""
    record = _evaluate(TEST, open_source(TEST), metrics=["fvd", "kvd", "prdc", "is", "temporal_flicker"])
    fvd = record.scores["fvd"]
    assert 0 <= fvd.value <= 1e-6
    for name in ("fvd", "kvd", "precision", "coverage"):
        score = record.scores[name]
        assert (score.debiased, score.standard_error, score.interval) == (None, None, None)
        assert score.best_estimate == score.value
    assert record.scores["is"].interval is not None, "of one side alone"
    assert record.scores["temporal_flicker"].interval is not None
    assert "identical-sets" in dict(record.warnings)
    other = _evaluate(TRAIN, TEST)
    assert other.scores["fvd"].interval is not None
    assert "identical-sets" not in dict(other.warnings)


@pytest.mark.parametrize(
    ("clips", "metrics", "words"),
    [  # the stub's features have 24 dimensions, flow_distance describes by 47 numbers
        (24, ["fvd"], ["24 windows for 24 feature dimensions; the plain Fréchet distance is biased"]),
        (23, ["fvd"], ["23 windows for 24 feature dimensions; with fewer windows than dimensions neither"]),
        (23, ["kvd"], ["23 windows for 24 feature dimensions; compare with scores of as many windows only"]),
        (23, ["temporal_flicker"], []),
    ],
)
def test_few_windows_are_told_what_they_mean(clips, metrics, words):
    settings = [*SMALL, f"clips.generated={clips}", "clips.real=30"]
    record = _evaluate(metrics=metrics, settings=settings)
    said = [text for code, text in record.warnings if code == "small-sample" and "generated" in text]
    assert len(said) == len(words)
    assert all(part in text for part, text in zip(words, said, strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_damage_in_the_store_changes_no_score_and_is_told(tmp_path, workers):
    whole = _evaluate(store=FeatureStore(tmp_path))
    segments = list(tmp_path.glob("*/*.safetensors"))
    for path in segments:
        data = bytearray(path.read_bytes())
        data[-40] ^= 1
        path.write_bytes(data)
    again = _evaluate(store=FeatureStore(tmp_path), workers=workers)
    assert _numbers(again) == _numbers(whole)
    ((code, sentence),) = set(again.warnings) - set(whole.warnings)
    assert code == "damaged-store"
    assert f"{len(segments)} damaged segments" in sentence
    store = FeatureStore(tmp_path)
    _evaluate(store=store)
    assert store.damaged == []


def test_features_are_computed_once(tmp_path):
    store = FeatureStore(tmp_path)
    first, second = StubExtractor(), StubExtractor()
    before = _evaluate(store=store, extractor=first)
    after = _evaluate(store=FeatureStore(tmp_path), extractor=second)
    assert sum(first.calls) == 48
    assert second.calls == []
    assert _numbers(before) == _numbers(after)


def test_real_features_are_shared_between_models(tmp_path):
    _evaluate(store=FeatureStore(tmp_path))
    network = StubExtractor()
    _evaluate(
        "builtin:moving-shapes/train?size=32&clips=30&seed=5", store=FeatureStore(tmp_path), extractor=network
    )
    assert sum(network.calls) == 24


def test_adding_clips_extracts_only_those(tmp_path):
    for k in range(6):
        _strip(tmp_path / "real" / f"{k}.png", 16, k)
    _evaluate(TRAIN, tmp_path / "real", store=FeatureStore(tmp_path / "store"))
    for k in range(6, 9):
        _strip(tmp_path / "real" / f"{k}.png", 16, k)
    network = StubExtractor()
    _evaluate(TRAIN, tmp_path / "real", store=FeatureStore(tmp_path / "store"), extractor=network)
    assert sum(network.calls) == 3


def test_interrupted_extraction_goes_on_where_it_stopped(tmp_path):
    dies = StubExtractor()
    forward = dies.forward

    def die(clips):
        if len(dies.calls) == 3:
            raise KeyboardInterrupt
        return forward(clips)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StubExtractor, "forward", lambda self, clips: die(clips))
        with pytest.raises(KeyboardInterrupt):
            _evaluate(store=FeatureStore(tmp_path), extractor=dies, batch_size=8, metrics=["fvd"])
    network = StubExtractor()
    resumed = _evaluate(store=FeatureStore(tmp_path), extractor=network, metrics=["fvd"])
    assert sum(network.calls) == 48 - 24
    undisturbed = _evaluate(store=FeatureStore(tmp_path / "other"), metrics=["fvd"])
    assert _numbers(resumed) == _numbers(undisturbed)


def test_bad_clips_are_skipped_named_and_replaced(tmp_path):
    for k in range(12):
        _strip(tmp_path / "real" / f"{k}.png", 16, k)
    good = _evaluate(TRAIN, tmp_path / "real", settings=[*SMALL, "clips.real=8"])
    used = {window.id for window in good.clips.real.windows}
    victim = sorted(used)[0]
    data = (tmp_path / "real" / victim).read_bytes()
    (tmp_path / "real" / victim).write_bytes(data[: len(data) // 2])
    _strip(tmp_path / "real" / "short.png", 5, 99)
    record = _evaluate(TRAIN, tmp_path / "real", settings=[*SMALL, "clips.real=8"])
    assert record.clips.real.used == 8
    skipped = {entry.path: entry.reason for entry in record.clips.real.skipped}
    assert victim in skipped
    assert "short.png" not in skipped or "5 frames" in skipped["short.png"]
    assert used - {victim} <= {window.id for window in record.clips.real.windows}
    with pytest.raises(SkippedClips) as error:
        _evaluate(TRAIN, tmp_path / "real", settings=[*SMALL, "clips.real=8"], strict=True)
    assert error.value.exit_code == 3


def test_too_few_clips_say_found_needed_and_what_to_change(tmp_path):
    for k in range(3):
        _strip(tmp_path / f"{k}.png", 16 if k else 7, k)
    with pytest.raises(NotEnoughClips) as error:
        _evaluate(TRAIN, tmp_path)
    text = f"{error.value.message} {error.value.remedy}"
    for words in ("2 usable windows", "3 clips", "needs 4", "has 7 frames, 16 are needed", "clips.least=2"):
        assert words in text, text


def test_long_clips_give_several_windows_and_groups_are_clips(tmp_path):
    for k in range(4):
        _strip(tmp_path / f"{k}.png", 50, k)
    record = _evaluate(TRAIN, tmp_path)
    assert record.clips.real.clips == 4
    assert 8 <= record.clips.real.used <= 12
    assert f"{record.clips.real.used}of4" in record.signature
    per_clip = {}
    for window in record.clips.real.windows:
        per_clip.setdefault(window.id, []).extend(window.frames)
    assert all(len(frames) == len(set(frames)) for frames in per_clip.values())


def test_signature_tells_every_choice_apart(tmp_path):
    base = _evaluate().signature
    changed = [
        _evaluate(settings=[*SMALL, setting]).signature
        for setting in (
            "windows.frames=8",
            "windows.stride=1",
            "resize.size=24",
            "seed=1",
            "windows.start=first",
        )
    ]
    changed += [_evaluate(metrics=["fvd(covariance=biased)"]).signature]
    changed += [_evaluate(real="builtin:moving-shapes/test?size=32&clips=30&seed=3").signature]
    assert changed.pop(1) == base
    assert len({base, *changed}) == 1 + len(changed)


def test_metrics_on_pixels_do_not_depend_on_the_network():
    record = _evaluate()
    assert "feat:" in record.signatures["fvd"]
    assert "feat:" not in record.signatures["temporal_flicker"]
    only_pixels = _evaluate(metrics=["temporal_flicker"], extractor=None)
    assert only_pixels.extractor is None
    assert only_pixels.signatures["temporal_flicker"] == record.signatures["temporal_flicker"]


def test_saved_record_and_thumbnails(tmp_path):
    record = _evaluate(results=tmp_path, name="gan <1>", details={"role": "control"})
    loaded = load_record(tmp_path / f"{record.stem}.json")
    assert loaded == record
    assert loaded.details["role"] == "control"
    with Image.open(tmp_path / next(iter(record.thumbnails))) as picture:
        assert picture.n_frames > 1


def test_thumbnails_are_the_first_windows_drawn_and_the_extremes_by_features(tmp_path):
    # 23 grey clips like the real ones, one bright: the stub's features are mean colours.
    real = np.full((24, 16, 32, 32, 3), 100, dtype=np.uint8)
    generated = real + np.arange(10, 34, dtype=np.uint8)[:, None, None, None, None]
    generated[5] = 250
    record = _evaluate(generated, real, results=tmp_path, name="x", metrics=["fvd", "temporal_flicker"])
    picks = record.details["picks"]
    assert set(picks) == set(record.thumbnails)
    rules = sorted(rule for name, rule in picks.items() if "/generated-" in name)
    assert rules == ["farthest", "nearest", *["seeded"] * 8]
    shades = {}
    for name, rule in picks.items():
        with Image.open(tmp_path / name) as picture:
            shades[rule, "real" in name] = picture.convert("RGB").getpixel((0, 0))[0]
    assert shades["farthest", False] == pytest.approx(250, abs=4)
    assert shades["nearest", False] == pytest.approx(110, abs=4)
    only_pixels = _evaluate(results=tmp_path, metrics=["temporal_flicker"], extractor=None)
    assert set(only_pixels.details["picks"].values()) == {"seeded"}


def test_a_metric_of_the_user_s_own_says_its_direction_in_the_record(tmp_path, monkeypatch):
    (tmp_path / "own_metrics.py").write_text(
        "import numpy as np\nfrom vgbench.metrics import per_clip_metric\n"
        "brightness = per_clip_metric('brightness', 'Brightness', np.mean, better='higher', citation='')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    record = _evaluate(metrics=["temporal_flicker", "own_metrics:brightness"])
    assert record.details["better"] == {"brightness": "higher"}
    assert "better" not in _evaluate(metrics=["temporal_flicker"]).details


@pytest.fixture
def own_metrics(tmp_path, monkeypatch):
    (tmp_path / "own_set_metrics.py").write_text(
        "import numpy as np\n"
        "from vgbench.metrics import Metric, Score\n"
        "def sums(generated, real):\n"
        "    details = {'label': generated.labels[0], 'name': generated.names[0], 'real': real.labels[0]}\n"
        "    gap = np.sum(generated.features.mean(0) - real.features.mean(0))\n"
        "    return {'gap': Score(float(gap), None, None, len(generated), details=details)}\n"
        "colour = Metric('colour', 'Colour', 'pixels', sums, {'gap': 'lower'}, '',\n"
        "                lambda clip: clip.mean((0, 1, 2)))\n"
        "named = Metric('named', 'Named', 'features', sums, {'gap': 'lower'}, '', labels=True)\n"
        "framed = Metric('framed', 'Framed', 'frames', sums, {'gap': 'lower'}, '')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("own_metrics")
def test_a_metric_that_describes_clips_sees_every_clip_once(tmp_path):
    rng = np.random.default_rng(0)
    generated, real = rng.integers(0, 256, (2, 24, 16, 32, 32, 3), dtype=np.uint8)
    options = {"metrics": ["own_set_metrics:colour"], "extractor": None, "store": FeatureStore(tmp_path)}
    score = _evaluate(generated, real, **options).scores["gap"]
    colours = [side.mean((1, 2, 3)).mean(0) for side in (generated, real)]
    assert score.value == pytest.approx(np.sum(colours[0] - colours[1]), rel=1e-9)
    again = _evaluate(generated, real, **options)
    assert again.scores["gap"] == score
    assert "feat" not in dict(again.signature_fields)


@pytest.mark.usefixtures("own_metrics")
def test_labels_and_names_reach_the_metrics_and_come_back_as_details(tmp_path):
    record = _evaluate(metrics=["own_set_metrics:named"], results=tmp_path)
    found = load_record(next(tmp_path.glob("*.json"))).scores["gap"].details
    first = record.clips.generated.windows[0]
    assert found["label"] == first.label is not None
    assert found["name"] == f"{first.id} from frame {first.frames[0]}"
    assert found["real"] == record.clips.real.windows[0].label
    with pytest.raises(VgbenchError, match="'named' needs a class label of every clip"):
        _evaluate(np.zeros((24, 16, 32, 32, 3), np.uint8), metrics=["own_set_metrics:named"])


@pytest.mark.usefixtures("own_metrics")
def test_a_metric_of_frames_refuses_a_network_that_gives_none():
    with pytest.raises(ConfigError, match="framed' needs features of every frame"):
        _evaluate(metrics=["own_set_metrics:framed"])


def test_windows_too_short_for_a_metric_are_refused_before_anything_is_read():
    with pytest.raises(ConfigError, match=r"metric 'fvmd' needs 16 frames, protocol 'quick' gives 8"):
        _evaluate("nowhere/", metrics=["fvmd"], settings=[*SMALL, "windows.frames=8"])


def test_lenient_names_what_these_clips_do_not_allow():
    unlabelled = np.random.default_rng(0).integers(0, 256, (24, 16, 32, 32, 3), dtype=np.uint8)
    record = _evaluate(unlabelled, metrics=["fvd", "intra_fvd"], lenient=True)
    assert list(record.scores) == ["fvd"]
    assert record.details["unscored"]["intra_fvd"].startswith("needs a class label of every clip")
    with pytest.raises(VgbenchError, match="needs a class label"):
        _evaluate(unlabelled, metrics=["fvd", "intra_fvd"])


@pytest.mark.usefixtures("own_metrics")
def test_lenient_leaves_out_what_the_network_does_not_give_and_the_record_can_be_made_again():
    given = ["fvd", "own_set_metrics:framed", "fvmd"]
    short = [*SMALL, "windows.frames=8"]
    record = _evaluate(metrics=given, settings=short, lenient=True)
    assert set(record.details["unscored"]) == {"own_set_metrics:framed", "fvmd"}
    assert record.details["unscored"]["fvmd"] == "needs 16 frames, protocol 'quick' gives 8"
    alone = _evaluate(metrics=["fvd"], settings=short)
    assert _numbers(record) == _numbers(alone)
    assert (record.signature, record.protocol) == (alone.signature, alone.protocol)


def test_arrays_and_generators_are_sources():
    rng = np.random.default_rng(0)
    clips = rng.integers(0, 256, (24, 16, 32, 32, 3), dtype=np.uint8)
    from_array = _evaluate(clips, name="x")
    from_generator = _evaluate((clip for clip in clips), name="x")
    assert _numbers(from_array) == _numbers(from_generator)


def test_short_windows_for_the_network_are_refused_before_work():
    with pytest.raises(ConfigError, match="at least 4 frames"):
        _evaluate(settings=[*SMALL, "windows.frames=3"])


@pytest.mark.parametrize("published", [True, False])
def test_scores_of_a_network_that_nobody_published_with_say_what_they_compare_with(published):
    """A name tells nothing: pytorch-i3d's weights begin with "i3d", the video IS's network does not."""
    extractor = StubExtractor()
    name = "c3d-ucf101" if published else "i3d_finetuned.pt"
    own = {"id": name, "comparable_with": "the same file only", "published": published}
    extractor.spec = replace(extractor.spec, **own)
    said = dict(_evaluate(extractor=extractor).warnings)
    expected = None if published else f"extractor {name}: compare with the same file only"
    assert said.get("not-comparable") == expected


def test_dynamic_degree_stands_beside_every_score_that_a_frozen_clip_wins():
    scores = _evaluate(metrics=["temporal_flicker"], extractor=None).scores
    assert list(scores) == ["temporal_flicker", "dynamic_degree"]
    assert list(_evaluate(metrics=["dynamic_degree", "viideo"], extractor=None).scores) == [
        "dynamic_degree",
        "viideo",
    ]
    assert list(_evaluate(metrics=["acd"], extractor=None).scores) == ["acd"]


def test_a_model_that_moves_less_than_the_real_clips_is_flagged():
    frozen = _evaluate(f"distort:freeze=1:{TRAIN}", metrics=["temporal_flicker"], extractor=None)
    said = dict(frozen.warnings)["below-real"]
    real = frozen.scores["dynamic_degree"].real
    assert said.startswith(f"dynamic_degree 0, real {real:.3g}: ")
    alike = _evaluate(metrics=["temporal_flicker"], extractor=None)
    assert "below-real" not in dict(alike.warnings)


def _films(folder, count=8, frames=64):
    random = np.random.default_rng(0)
    for index in range(count):
        np.save(folder / f"{index}.npy", random.integers(0, 256, (frames, 16, 16, 3), dtype=np.uint8))
    return [f"{index}.npy" for index in range(count)]


def test_a_window_of_a_manifest_lends_its_length_to_no_other_clip(tmp_path):
    """Lengths are kept by content, and a manifest's line may stand for the first frames of a file only."""
    names = _films(tmp_path)
    manifest = tmp_path.parent / f"{tmp_path.name}.csv"
    manifest.write_text("path,start,frames\n" + "".join(f"{tmp_path}/{name},0,20\n" for name in names))
    short = [*SMALL[1:], "clips.generated=8", "windows.per_clip=1"]
    options = {"metrics": ["temporal_flicker"], "settings": short, "extractor": None}

    def windows(source, store):
        record = _evaluate(source, store=store, **options)
        assert record.clips.generated.skipped == ()
        return [used.frames for used in record.clips.generated.windows]

    alone = [
        windows(source, FeatureStore(tmp_path / "s" / str(i)))
        for i, source in enumerate((tmp_path, manifest))
    ]
    for order in ((0, 1), (1, 0)):
        store = FeatureStore(tmp_path / "s" / f"both{order}")
        assert [windows((tmp_path, manifest)[i], store) for i in order] == [alone[i] for i in order]
    assert max(max(frames) for frames in alone[1]) < 20 < max(max(frames) for frames in alone[0])


def test_windows_of_one_file_in_a_manifest_are_one_source_clip(tmp_path):
    names = _films(tmp_path)
    lines = [f"{name},{start},16" for name in names for start in (0, 16, 32, 48)]
    (tmp_path / "m.csv").write_text("path,start,frames\n" + "\n".join(lines))
    settings = ["clips.generated=32", "clips.real=24", "clips.least=4"]
    record = _evaluate(
        str(tmp_path / "m.csv"), metrics=["temporal_flicker"], settings=settings, extractor=None
    )
    assert record.clips.generated.used == 32
    assert record.clips.generated.clips == 8
    assert "8 source clips" in record.scores["temporal_flicker"].method
    assert "clips:32of8+24" in record.signature


def test_a_metric_of_ones_own_is_not_taken_for_ours_of_that_name(tmp_path, monkeypatch):
    (tmp_path / "my_acd.py").write_text(
        "from vgbench.metrics import per_clip_metric\n"
        "acd = per_clip_metric('acd', 'mine', lambda clip: 123.0, better='real', citation='mine')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    store = FeatureStore(tmp_path / "store")
    options = {"settings": SMALL, "extractor": None, "store": store}
    own = _evaluate(metrics=["my_acd:acd"], **options)
    ours = _evaluate(metrics=["acd"], **options)
    assert own.scores["acd"].value == 123
    assert ours.scores["acd"].value < 123
    assert "my_acd:acd" in own.signature
    assert own.signature != ours.signature


def test_classes_of_the_real_clips_are_in_the_signature_of_metrics_that_read_them(tmp_path):
    random = np.random.default_rng(0)
    clips = [random.integers(0, 256, (16, 16, 16, 3), dtype=np.uint8) for _ in range(24)]
    named = [[(clip, "abcd"[(i // step) % 4]) for i, clip in enumerate(clips)] for step in (1, 6)]
    settings = ["clips.generated=24", "clips.real=24", "clips.least=4", "resize.size=16"]
    first, second = (
        _evaluate(named[0], real, metrics=["class_accuracy", "fvd"], settings=settings) for real in named
    )
    assert first.scores["class_accuracy"] != second.scores["class_accuracy"]
    assert first.signatures["class_accuracy"] != second.signatures["class_accuracy"]
    assert first.signatures["fvd"] == second.signatures["fvd"]


def test_settings_change_a_protocol_that_is_given_as_an_object():
    plan = load("quick", SMALL)
    record = _evaluate(protocol=plan, settings=["windows.frames=9"])
    assert "frames:9/s1" in record.signature
    with pytest.raises(ConfigError, match="unknown key 'no'"):
        _evaluate(protocol=plan, settings=["no.such.key=1"])


def test_the_record_says_how_long_each_side_and_the_metrics_took(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    class Slow(StubExtractor):
        def forward(self, clips):
            now[0] += len(clips)  # a second a clip
            return super().forward(clips)

    def slow(generated, real, **options):
        now[0] += 0.25
        return {"kvd": Score(1.0, None, None, len(generated))}

    monkeypatch.setitem(METRICS, "kvd", replace(METRICS["kvd"], score=slow))
    settings = [*SMALL, "clips.generated=20"]
    seconds = _evaluate(extractor=Slow(), metrics=["kvd"], settings=settings).seconds
    assert seconds == {"real": 24, "generated": 20, "metrics": 0.25, "total": 44.25}
