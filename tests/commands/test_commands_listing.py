"""`vgbench list`: every name there is, under the kinds that its help offers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from vgbench import extractors
from vgbench.cli import app
from vgbench.commands import listing
from vgbench.errors import ConfigError
from vgbench.extractors import c3d, i3d, inception_v3, resnet3d
from vgbench.extractors.summary import summarise
from vgbench.extractors.weights import registry


def test_the_help_offers_every_kind_and_no_other(monkeypatch):
    monkeypatch.setattr(listing, "_models", lambda *_: [("gru-hinge", "counted elsewhere")])
    (kind,) = (p for p in typer.main.get_command(app).commands["list"].params if p.name == "kind")
    offered = set(re.findall(r"[a-z]+", kind.help)) - {"or"}
    assert offered == {*listing.SECTIONS, "parts", "all"}
    for name in offered:
        assert all(listing.known_names(name).values()), name
    with pytest.raises(ConfigError, match="unknown kind of list 'part'") as caught:
        listing.known_names("part")
    assert "did you mean parts" in caught.value.remedy


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("motion", {"none", "gru", "fourier", "temporal-shift"}),
        ("decoders", {"frame", "two-stream", "flow-warp"}),
        ("losses", {"minimax", "hinge", "rans"}),
        ("discriminators", {"image", "video3d", "time-conditioned"}),
        ("regularisers", {"gradient-penalty", "mask-sparsity", "weight-clipping"}),
        ("augmentations", {"colour", "translation", "cutout"}),
        ("sources", {"builtin:moving-shapes", "builtin:noise"}),
        ("datasets", {"ucf101", "taichi"}),
        ("distortions", {"blur", "freeze", "speed-up", "memorise"}),
        ("published", {"ucf101", "sky"}),
    ],
)
def test_names_of_configs_and_flags_are_listed_with_a_line_each(kind, names):
    listed = dict(listing.known_names(kind)[kind])
    assert names <= set(listed)
    assert all(listed.values()), listed
    assert kind in listing.known_names("parts") or kind not in listing.PARTS


def test_parts_are_those_that_a_config_of_training_names():
    found = listing.known_names("parts")
    assert set(found) == {"motion", "decoders", "losses", "discriminators", "regularisers", "augmentations"}


def test_each_extractor_has_a_line_that_is_true_of_it():
    found = {name: entry.features for name, entry in extractors.EXTRACTORS.items()}
    for name in ("embedded", "embedded-frames"):
        assert found[name] == extractors.load(name).spec.feature_dimension
    sizes = {"i3d": i3d.CLASSES, "r": resnet3d.FEATURES, "inception": inception_v3.FEATURES}
    for begin, size in sizes.items():
        assert {found[name] for name in found if re.match(rf"{begin}[\d-]", name)} <= {size}, begin
    assert (found["c3d-ucf101"], found["c3d-ucf101-torchscript"]) == (c3d.FEATURES, c3d.CLASSES)


def test_sizes_of_transformers_are_those_of_the_published_architectures():
    transformers = pytest.importorskip("transformers")
    sizes = {
        "videomae-vitb16-k400": transformers.VideoMAEConfig().hidden_size,
        "vjepa2-vitl": transformers.VJEPA2Config().hidden_size,
        "dinov2-vitb14": transformers.Dinov2Config().hidden_size,
        "clip-vitb32": transformers.CLIPVisionConfig().projection_dim,
    }
    assert {name: extractors.EXTRACTORS[name].features for name in sizes} == sizes


def test_an_extractor_s_line_says_whether_its_weights_are_here():
    assert "weights here" in summarise("embedded")
    assert "weights not here" in summarise("i3d-k400")
    path = registry.path_of("i3d-k400")
    path.parent.mkdir(parents=True)
    path.touch()
    assert "400 features; weights here; compare with FVD" in summarise("i3d-k400")


def test_the_documentation_s_table_has_every_extractor():
    text = (Path(__file__).parents[2] / "docs" / "extractors.md").read_text(encoding="utf-8")
    cells = " ".join(line.split("|")[1] for line in text.splitlines() if line.startswith("| `"))
    assert set(extractors.EXTRACTORS) <= set(re.findall(r"`([^`]+)`", cells))
