"""The discriminator of two streams, and the embeddings of D(x, e, m)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import vgbench.extractors.c3d as extractor
from vgbench.errors import ConfigError
from vgbench.reference_models.config import DiscriminatorConfig
from vgbench.reference_models.discriminators import build_discriminator
from vgbench.reference_models.embeddings import EMBEDDINGS, C3d
from vgbench.reference_models.layers import frame_times


def build(name, length=8, **values):
    torch.manual_seed(0)
    return build_discriminator(DiscriminatorConfig(name=name, channels=4, **values), 16, length).eval()


def scores(discriminator, video):
    return discriminator(video, frame_times(video.shape[2], len(video)))


@pytest.fixture
def video():
    return torch.randn(2, 3, 8, 16, 16, generator=torch.Generator().manual_seed(1)).tanh()


def test_the_temporal_stream_sees_motion_and_the_spatial_one_its_frames(video):
    """Each stream alone, with the weights of the other in the head set to 0, against what it must ignore."""
    discriminator = build("two-stream", norm="none", frames=2)
    assert discriminator.seen.tolist() == [2, 6], "the middles of both halves"
    width = discriminator.spatial.width
    weight = discriminator.head.weight
    with torch.no_grad():
        weight[:, width:] = 0
        appearance = scores(discriminator, video)
        unseen = video.clone()
        unseen[:, :, [0, 1, 3, 4, 5, 7]] = 0
        torch.testing.assert_close(scores(discriminator, unseen), appearance)

        weight[:, width:], weight[:, :width] = 1, 0
        motion = scores(discriminator, video)
        brighter = video + 0.1
        torch.testing.assert_close(scores(discriminator, brighter), motion, atol=1e-4, rtol=1e-3)
        still = video[:, :, :1].expand_as(video)
        nothing = scores(discriminator, still)
        torch.testing.assert_close(nothing[0], nothing[1], msg="still clips look alike whatever they show")
        assert not torch.allclose(motion[0], motion[1])


def test_both_streams_are_summed_and_each_frame_counts_alike(video):
    discriminator = build("two-stream", norm="none", frames=2)
    width, bias = discriminator.spatial.width, discriminator.head.bias
    with torch.no_grad():
        maps = discriminator.trunk(video, frame_times(8, 2))
        head = discriminator.head.weight[0]
        flow = (maps[-2] * head[width:]).sum((1, 2, 3))
        frames = [
            (discriminator.spatial(video[:, :, place])[-1] * head[:width]).sum((1, 2, 3)) for place in (2, 6)
        ]
        expected = flow + (frames[0] + frames[1]) / 2 + bias
        torch.testing.assert_close(scores(discriminator, video)[:, 0], expected)


def test_a_clip_of_one_frame_has_no_second_stream():
    with pytest.raises(ConfigError, match="at least two frames"):
        build("two-stream", length=1)


def test_the_c3d_embedding_computes_what_c3d_computes():
    """C3D as the extractor has it, with its own weights, up to the last convolution."""
    torch.manual_seed(0)
    theirs, ours = extractor.C3d(), C3d(64, 16, "none")
    layers = [layer for layer in theirs.modules() if isinstance(layer, nn.Conv3d)]
    with torch.no_grad():
        for layer, own in zip(layers, ours.convolutions, strict=True):
            own.load_state_dict(layer.state_dict())
        found = []
        layers[-1].register_forward_hook(lambda _module, _inputs, output: found.append(output.relu()))
        video = torch.randn(1, 3, 16, 112, 112)
        theirs(video)
        torch.testing.assert_close(ours(video), found[0], atol=1e-5, rtol=1e-4)
    assert (ours.width, sum(p.numel() for p in ours.parameters())) == (512, 27_655_936)


@pytest.mark.parametrize("embedding", EMBEDDINGS)
@pytest.mark.parametrize(("size", "frames"), [(16, 2), (16, 5), (32, 16), (64, 33)])
def test_embeddings_of_any_clip_have_a_difference_over_time(embedding, size, frames):
    network = EMBEDDINGS[embedding](2, frames, "spectral")
    maps = network(torch.randn(1, 3, frames, size, size))
    assert maps.shape[1] == network.width
    assert maps.shape[2] >= 2


def test_an_unknown_embedding_is_named():
    with pytest.raises(ConfigError, match="unknown embedding 'c4d'"):
        build("embedding-motion", options={"embedding": "c4d"})


class Mean(nn.Module):
    """An embedding of the user's own."""

    width = 3

    def __init__(self, channels, frames, norm):
        super().__init__()

    def forward(self, video):
        return video


def test_an_embedding_may_be_the_user_s_own(video, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    options = {"embedding": "test_models_two_stream:Mean"}
    discriminator = build("embedding-motion", norm="none", options=options)
    assert type(discriminator.embed).__name__ == "Mean"
    assert scores(discriminator, video).shape == (2, 1)
