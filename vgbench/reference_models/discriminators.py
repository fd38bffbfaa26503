"""Discriminators: what each looks at in a clip, and its raw scores. None of them ends in a sigmoid."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from vgbench.errors import ConfigError, VgbenchError
from vgbench.named import lookup
from vgbench.reference_models.config import DiscriminatorConfig
from vgbench.reference_models.embeddings import EMBEDDINGS
from vgbench.reference_models.layers import (
    AnyBatchNorm,
    FirstConv2d,
    FirstConv3d,
    constrained,
    feature_norm,
    fold,
    frames_first,
    halvings,
    set_initial_weights,
    unfold,
    widths,
)
from vgbench.reference_models.optical_flow import optical_flow
from vgbench.reference_models.parts import DISCRIMINATORS, build_part
from vgbench.reference_models.residual import ResidualBlock, with_deviation


class Discriminator(nn.Module):
    """Interface of all discriminators, and what they share for classes.

    A subclass implements `trunk` and `score`, and `choose_times` if it does not look at all frames. With
    labels, the score has the projection term ⟨V y, φ⟩ (Miyato and Koyama 2018), where φ are the pooled
    features.

    Attributes:
        frames_apart: whether each frame has scores of its own, to which no other frame contributes.
    """

    frames_apart: bool = False

    def __init__(self, config: DiscriminatorConfig, features: int, labels: int, classifies: bool) -> None:
        """Build what depends on the classes.

        Args:
            config: of this discriminator.
            features: dimension of the pooled features.
            labels: number of classes; 0 for none.
            classifies: have a class head instead of the projection term.
        """
        super().__init__()
        self.config = config
        self.embedding: nn.Module | None = None
        self.classifier: nn.Module | None = None
        if classifies:
            self.classifier = nn.Linear(features, labels)
        elif labels:
            self.embedding = constrained(nn.Embedding(labels, features), config.norm)

    @property
    def mixes_samples(self) -> bool:
        """Whether a clip's score depends on its batch, so that real and fake clips are scored separately."""
        return self.config.deviation or any(isinstance(layer, AnyBatchNorm) for layer in self.modules())

    def choose_times(self, clips: int, frames: int, random: torch.Generator) -> torch.Tensor | None:  # noqa: ARG002
        """Choose the frames to look at: int64 [clips, K], ascending in each row; None for all frames."""
        return None

    def trunk(self, video: torch.Tensor, times: torch.Tensor) -> list[torch.Tensor]:
        """Compute the feature maps of all layers, from the first to the last, each with the clips first."""
        raise NotImplementedError

    def score(self, features: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """Compute unconditional scores [B, N] from the feature maps of the last layer."""
        raise NotImplementedError

    def pooled(self, features: torch.Tensor) -> torch.Tensor:
        """Average the feature maps of the last layer over positions: -> [B, D]."""
        return features.flatten(2).mean(2)

    def forward(
        self, video: torch.Tensor, times: torch.Tensor, label: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Score clips.

        Args:
            video: the frames that `choose_times` chose, float [B, 3, K, H, W] in [−1, 1].
            times: their times in training frames, float [B, K].
            label: index of the class, int64 [B], if the model has labels.

        Returns:
            raw scores [B, N]; N is greater than 1 for patches and for several frames.
        """
        features = self.trunk(video, times)[-1]
        scores = self.score(features, times)
        if self.embedding is not None and label is not None:
            scores = scores + (self.embedding(label) * self.pooled(features)).sum(1, keepdim=True)
        return scores

    def class_logits(self, video: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """Compute the logits of the class head: [B, labels]."""
        if self.classifier is None:
            raise VgbenchError("this discriminator has no class head")
        logits: torch.Tensor = self.classifier(self.pooled(self.trunk(video, times)[-1]))
        return logits


@dataclass(frozen=True)
class View:
    """What one discriminator sees of a batch.

    Attributes:
        video: float [B, 3, K, H, W] in [−1, 1].
        times: of the frames, in training frames, float [B, K].
        label: index of the class, int64 [B]; None without labels.
    """

    video: torch.Tensor
    times: torch.Tensor
    label: torch.Tensor | None = None

    def scores(self, discriminator: Discriminator) -> torch.Tensor:
        """Compute the discriminator's raw scores [B, N]."""
        scores: torch.Tensor = discriminator(self.video, self.times, self.label)
        return scores


def random_times(count: int, clips: int, frames: int, random: torch.Generator) -> torch.Tensor:
    """Draw `count` different frames of each clip: int64 [clips, count], ascending in each row."""
    order = torch.rand(clips, frames, generator=random).argsort(1)
    return order[:, :count].sort(1).values


class Layers(nn.Module):
    """Layers that halve the side length down to 4×4. Returns all feature maps.

    They are convolutions of k=4 and stride 2 with LeakyReLU 0.2 and no norm after the first or, if the config
    says so, residual blocks after a 1×1 convolution.

    Attributes:
        width: feature maps of the last layer.
        time: time steps of the last layer; 1 in two dimensions.
    """

    def __init__(
        self,
        config: DiscriminatorConfig,
        size: int,
        frames: int | None,
        inputs: int = 3,
        time_stride: int = 2,
        last_time: int = 2,
    ) -> None:
        """Build 2-D layers, or 3-D layers for clips of `frames`.

        With `time_stride` 2, layers halve time while it is longer than `last_time`. With 1, each layer
        combines four frames (or as many as there are), without padding.
        """
        super().__init__()
        dimensions = 2 if frames is None else 3
        levels = halvings(size)
        self.layers = nn.ModuleList()
        self.time = frames or 1
        self.deviation = config.deviation
        now = inputs
        if config.blocks == "residual":
            now = self._add_blocks(config, levels, inputs, dimensions, time_stride)
            levels = 0
        for level, out in enumerate(widths(config.channels, levels)):
            if dimensions == 2:
                kind: type[nn.Conv2d] = nn.Conv2d if level else FirstConv2d
                layer: nn.Module = kind(now, out, 4, 2, 1, bias=config.bias)
            else:
                kernel, stride, padding = time_layer(self.time, time_stride, last_time)
                cube: type[nn.Conv3d] = nn.Conv3d if level else FirstConv3d
                layer = cube(now, out, (kernel, 4, 4), (stride, 2, 2), (padding, 1, 1), bias=config.bias)
                self.time = (self.time + 2 * padding - kernel) // stride + 1
            norm = config.norm if level else "none"
            self.layers.append(
                nn.Sequential(
                    *noise_before(config),
                    constrained(layer, config.norm),
                    feature_norm(norm, out, dimensions),
                    nn.LeakyReLU(0.2),
                )
            )
            now = out
        self.width = now + self.deviation

    def _add_blocks(
        self, config: DiscriminatorConfig, levels: int, inputs: int, dimensions: int, time_stride: int
    ) -> int:
        """Append residual blocks, the first of them after a 1×1 convolution; return their feature maps."""
        kind: type[nn.Conv2d | nn.Conv3d] = nn.Conv2d if dimensions == 2 else nn.Conv3d
        first: list[nn.Module] = [
            constrained(kind(inputs, config.channels, 1), config.norm),
            nn.LeakyReLU(0.2),
        ]
        now = config.channels
        for out in widths(config.channels, levels + 1)[1:]:
            halves_time = dimensions == 3 and time_stride == 2 and self.time > 2
            block = ResidualBlock(now, out, config.norm, dimensions, halves_time)
            self.layers.append(nn.Sequential(*first, block))
            self.time = self.time // 2 if halves_time else self.time
            now, first = out, []
        return now

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        features = []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        if self.deviation:
            features[-1] = with_deviation(features[-1])
        return features


def time_layer(frames: int, stride: int, last: int = 2) -> tuple[int, int, int]:
    """Return kernel, stride and padding along time of a 3-D layer whose input has `frames`."""
    if stride == 1:
        return min(4, frames), 1, 0
    return (4, 2, 1) if frames > last else (3, 1, 1)


class Noise(nn.Module):
    """Adds normal noise to feature maps during training, so that a discriminator cannot rely on details.

    Attributes:
        deviation: standard deviation of the noise.
    """

    def __init__(self, deviation: float) -> None:
        super().__init__()
        self.deviation = deviation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.deviation * torch.randn_like(x) if self.training else x


def noise_before(config: DiscriminatorConfig) -> list[nn.Module]:
    """Return the noise that a layer begins with, if the config asks for any."""
    return [Noise(config.noise)] if config.noise else []


class ImageDiscriminator(Discriminator):
    """Scores `frames` (1 by default) random frames of each clip separately (MoCoGAN's D_I).

    With `patches`, the maps stop at 8×8, and a frame has 4×4 scores of overlapping patches, as in MoCoGAN's
    D_I.

    Attributes:
        sums_frames: the scores of a clip's frames are summed.
        seen: number of frames of each clip that it looks at.
    """

    sums_frames = False
    frames_apart = True

    def __init__(
        self,
        config: DiscriminatorConfig,
        size: int,
        frames: int,
        labels: int = 0,
        classifies: bool = False,
        patches: bool = False,
    ) -> None:
        layers = Layers(config, size // 2 if patches else size, None)
        super().__init__(config, layers.width, labels, classifies)
        self.layers = layers
        stride, padding = (2, 1) if patches else (1, 0)
        head = nn.Conv2d(layers.width, 1, 4, stride, padding, bias=config.bias)
        self.head = nn.Sequential(*noise_before(config), head) if patches and config.noise else head
        constrained(head, config.norm)
        self.seen = min(config.frames or (8 if self.sums_frames else 1), frames)

    def choose_times(self, clips: int, frames: int, random: torch.Generator) -> torch.Tensor:
        return random_times(self.seen, clips, frames, random)

    def trunk(self, video: torch.Tensor, times: torch.Tensor) -> list[torch.Tensor]:  # noqa: ARG002
        return [unfold(maps, len(video)) for maps in self.layers(frames_first(video))]

    def score(self, features: torch.Tensor, times: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        scores = unfold(self.head(fold(features)).flatten(1), len(features))
        return scores.sum(1) if self.sums_frames else scores.flatten(1)

    def pooled(self, features: torch.Tensor) -> torch.Tensor:
        return features.mean((1, 3, 4))


class SpatialDiscriminator(ImageDiscriminator):
    """The sum of the scores of `frames` (8 by default) random frames of each clip (DVD-GAN's D_S)."""

    sums_frames = True
    frames_apart = False


class VideoDiscriminator(Discriminator):
    """3-D convolutions over the whole clip (VGAN, TGAN, MoCoGAN's D_V).

    `time_stride` 2 halves time at every layer, while it is longer than `last_time` (1, as in TGAN, or 2). 1
    is that of MoCoGAN, with kernels of four frames and no padding; it takes 2.5 times as many operations.
    `logits` 2 gives two outputs, whose difference is the score, as in VGAN.
    """

    def __init__(
        self,
        config: DiscriminatorConfig,
        size: int,
        frames: int,
        labels: int = 0,
        classifies: bool = False,
        time_stride: int = 2,
        last_time: int = 2,
        logits: int = 1,
    ) -> None:
        options = {"time_stride": time_stride, "last_time": last_time, "logits": logits}
        for option, value in options.items():
            if value not in (1, 2):
                raise ConfigError(f"discriminators.options.{option} = {value}", "use 1 or 2")
        layers = Layers(config, size, frames, time_stride=time_stride, last_time=last_time)
        super().__init__(config, layers.width, labels, classifies)
        self.layers = layers
        head = nn.Conv3d(layers.width, logits, (layers.time, 4, 4), bias=config.bias)
        self.head = constrained(head, config.norm)

    def trunk(self, video: torch.Tensor, times: torch.Tensor) -> list[torch.Tensor]:  # noqa: ARG002
        maps: list[torch.Tensor] = self.layers(video)
        return maps

    def score(self, features: torch.Tensor, times: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        scores: torch.Tensor = self.head(features).flatten(1)
        return scores if scores.shape[1] == 1 else scores[:, :1] - scores[:, 1:]


class TemporalDiscriminator(VideoDiscriminator):
    """As `video3d`, after 2×2 average pooling of each frame, so that motion matters more (DVD-GAN's D_T)."""

    def __init__(
        self,
        config: DiscriminatorConfig,
        size: int,
        frames: int,
        labels: int = 0,
        classifies: bool = False,
        time_stride: int = 2,
    ) -> None:
        super().__init__(config, size // 2, frames, labels, classifies, time_stride)

    def trunk(self, video: torch.Tensor, times: torch.Tensor) -> list[torch.Tensor]:
        return super().trunk(F.avg_pool3d(video, (1, 2, 2)), times)


class EmbeddingMotionDiscriminator(Discriminator):
    """D(x, e, m): the clip x, its learned embedding e = E(x) and its motion m = M(·).

    s = w·φ(x) + ⟨W φ(x), [ē; m]⟩, where φ are the pooled features of a 3-D trunk, e [B, C, T] the spatially
    pooled maps of E, and ē the mean of e over time. E is one of `EMBEDDINGS`, by the option `embedding`: a
    shallow 3-D trunk that preserves time, or the layers of C3D. M depends on `motion_from`:

    - "embedding": temporal differences of e, Conv1d with k=3, ReLU, mean over time;
    - "frame-difference" (x_{t+1} − x_t) and "optical-flow" (Lucas-Kanade flow of the luma): 2-D convolutions,
      mean over positions and time.

    E and M are parts of the discriminator: they are trained with its loss only and frozen in the generator's
    phase; otherwise G could reduce its loss by making E collapse. e and m are computed from x inside the
    graph, so a gradient penalty bounds the whole map from x to s.
    """

    motion_dim = 64

    def __init__(
        self,
        config: DiscriminatorConfig,
        size: int,
        frames: int,
        labels: int = 0,
        classifies: bool = False,
        embedding: str = "trunk",
    ) -> None:
        layers = Layers(config, size, frames)
        super().__init__(config, layers.width, labels, classifies)
        self.layers = layers
        norm, channels = config.norm, config.channels
        self.embed = lookup("embedding", embedding, EMBEDDINGS)(channels, frames, norm)
        if config.motion_from == "embedding":
            self.motion: nn.Module = nn.Sequential(
                constrained(nn.Conv1d(self.embed.width, self.motion_dim, 3, padding=1), norm), nn.ReLU()
            )
        else:
            inputs = 3 if config.motion_from == "frame-difference" else 2
            self.motion = nn.Sequential(
                constrained(nn.Conv2d(inputs, channels, 4, 2, 1), norm),
                nn.LeakyReLU(0.2),
                constrained(nn.Conv2d(channels, self.motion_dim, 4, 2, 1), norm),
                nn.ReLU(),
            )
        self.head = constrained(nn.Linear(layers.width, 1), norm)
        self.project = constrained(nn.Linear(layers.width, self.embed.width + self.motion_dim), norm)

    def trunk(self, video: torch.Tensor, times: torch.Tensor) -> list[torch.Tensor]:  # noqa: ARG002
        """Compute the trunk's maps, followed by φ, ē and m in one tensor [B, width + embed.width + 64, 1]."""
        maps: list[torch.Tensor] = self.layers(video)
        embedding = self.embed(video).mean((3, 4))
        packed = torch.cat(
            [maps[-1].flatten(2).mean(2), embedding.mean(2), self.estimate(video, embedding)], 1
        )
        return [*maps, packed[..., None]]

    def estimate(self, video: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """Compute the motion m: [B, 64]."""
        kind = self.config.motion_from
        if kind == "embedding":
            motion: torch.Tensor = self.motion(embedding.diff(dim=2)).mean(2)
            return motion
        field = video.diff(dim=2) if kind == "frame-difference" else optical_flow(video)
        return unfold(self.motion(frames_first(field)).mean((2, 3)), len(video)).mean(1)

    def score(self, features: torch.Tensor, times: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        phi = self.pooled(features)
        conditions = features[:, self.layers.width :, 0]
        scores: torch.Tensor = self.head(phi) + (self.project(phi) * conditions).sum(1, keepdim=True)
        return scores

    def pooled(self, features: torch.Tensor) -> torch.Tensor:
        return features[:, : self.layers.width, 0]


class TimeConditionedDiscriminator(Discriminator):
    """`frames` (3 by default) random frames of each clip, and the times between them (StyleGAN-V, DIGAN).

    A 2-D trunk reduces each frame to 8×8 maps, which are concatenated over frames and reduced to 4×4. The
    score is w·φ + ⟨P e(Δt), φ⟩ with sines and cosines e of the time differences, which may be fractional
    (Skorokhodov et al. 2022). With two frames it is DIGAN's pair discriminator (Yu et al. 2022).

    Attributes:
        time_features: number of frequencies in e.
        seen: number of frames of each clip that it looks at.
        span: clip length, which time differences are divided by.
    """

    time_features = 8

    def __init__(
        self, config: DiscriminatorConfig, size: int, frames: int, labels: int = 0, classifies: bool = False
    ) -> None:
        self.seen = min(config.frames or 3, frames)
        if self.seen < 2:
            raise ConfigError("a time-conditioned discriminator needs at least two frames")
        early = Layers(config, size // 2, None)
        after = min(2 * early.width, 8 * config.channels)
        super().__init__(config, after, labels, classifies)
        self.early = early
        merge = nn.Conv2d(early.width * self.seen, after, 4, 2, 1)
        self.merge = nn.Sequential(
            constrained(merge, config.norm), feature_norm(config.norm, after, 2), nn.LeakyReLU(0.2)
        )
        self.head = constrained(nn.Conv2d(after, 1, 4), config.norm)
        self.project = constrained(nn.Linear((self.seen - 1) * 2 * self.time_features, after), config.norm)
        self.span = float(frames)

    def choose_times(self, clips: int, frames: int, random: torch.Generator) -> torch.Tensor:
        return random_times(self.seen, clips, frames, random)

    def trunk(self, video: torch.Tensor, times: torch.Tensor) -> list[torch.Tensor]:  # noqa: ARG002
        maps = self.early(frames_first(video))
        together = unfold(maps[-1], len(video)).flatten(1, 2)
        return [*(unfold(one, len(video)) for one in maps), self.merge(together)]

    def score(self, features: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        difference = times.float().diff(dim=1) / self.span
        octaves = 2.0 ** torch.arange(self.time_features, device=times.device) * (torch.pi / 2)
        angles = (difference[..., None] * octaves).flatten(1)
        condition = self.project(torch.cat([angles.sin(), angles.cos()], 1))
        conditional = (condition * self.pooled(features)).sum(1, keepdim=True)
        scores: torch.Tensor = self.head(features).flatten(1) + conditional
        return scores


def build_discriminator(
    config: DiscriminatorConfig, size: int, frames: int, labels: int = 0, classifies: bool = False
) -> Discriminator:
    """Build the discriminator that the config names.

    Args:
        config: see `DiscriminatorConfig`.
        size: side length of the clips in pixels.
        frames: length of the clips.
        labels: number of classes; 0 for none.
        classifies: give it a class head (for "categorical-information") instead of the projection term.

    Raises:
        ConfigError: see `build_part`; or an option that the discriminator does not accept.
    """
    # A user's own class decides itself what it does with labels.
    conditions = (labels, classifies) if config.name in DISCRIMINATORS else ()
    arguments = (config, size, frames, *conditions)
    built = build_part(
        "discriminator", config.name, DISCRIMINATORS, Discriminator, *arguments, options=config.options
    )
    set_initial_weights(built, config.weights)
    return built
