"""Discriminators: what each sees of a clip, and its raw scores. None of them ends in a sigmoid."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from vgbench.errors import ConfigError, VgbenchError
from vgbench.reference_models.config import DiscriminatorConfig
from vgbench.reference_models.layers import (
    FirstConv2d,
    FirstConv3d,
    constrained,
    feature_norm,
    fold,
    frames_first,
    halvings,
    unfold,
    widths,
)
from vgbench.reference_models.parts import build_part


class Discriminator(nn.Module):
    """Interface of all discriminators, with the class parts that they share.

    A subclass implements `trunk` and `score`, and `choose_times` where it does not look at every frame. With
    labels the score gets the projection term ⟨V y, φ⟩ (Miyato and Koyama 2018), φ being the pooled features.
    """

    def __init__(self, config: DiscriminatorConfig, features: int, labels: int, classifies: bool) -> None:
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
        """A sample's score depends on the rest of its batch, so real and fake are scored apart."""
        return any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in self.modules())

    def choose_times(self, clips: int, frames: int, random: torch.Generator) -> torch.Tensor | None:  # noqa: ARG002
        """Frames that it looks at: int64 [clips, K], ascending in each row; None for all of them."""
        return None

    def trunk(self, video: torch.Tensor, times: torch.Tensor) -> list[torch.Tensor]:
        """Feature maps of every layer, shallow to deep, each with the clips first."""
        raise NotImplementedError

    def score(self, features: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """Unconditional scores [B, N] from the deepest feature maps."""
        raise NotImplementedError

    def pooled(self, features: torch.Tensor) -> torch.Tensor:
        """Deepest feature maps -> [B, D], the mean over positions."""
        return features.flatten(2).mean(2)

    def forward(
        self, video: torch.Tensor, times: torch.Tensor, label: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Score clips.

        Args:
            video: float [B, 3, K, H, W] in [−1, 1]: the frames that `choose_times` asked for.
            times: float [B, K], their times in training frames.
            label: int64 [B], where the model has labels.

        Returns:
            raw scores [B, N]; N > 1 for patches or several frames.
        """
        features = self.trunk(video, times)[-1]
        scores = self.score(features, times)
        if self.embedding is not None and label is not None:
            scores = scores + (self.embedding(label) * self.pooled(features)).sum(1, keepdim=True)
        return scores

    def class_logits(self, video: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """Logits of the auxiliary classifier: [B, labels]."""
        if self.classifier is None:
            raise VgbenchError("this discriminator has no class head")
        logits: torch.Tensor = self.classifier(self.pooled(self.trunk(video, times)[-1]))
        return logits


class Layers(nn.Module):
    """Convolutions with LeakyReLU 0.2, k=4 and stride 2, no norm on the first; returns every feature map."""

    def __init__(
        self,
        config: DiscriminatorConfig,
        size: int,
        frames: int | None,
        inputs: int = 3,
        time_stride: int = 2,
    ) -> None:
        """Build 2-D layers, or 3-D ones for clips of `frames`.

        Time is halved while it is longer than two; with `time_stride` 1 each layer takes four frames, without
        padding, as long as there are as many.
        """
        super().__init__()
        dimensions = 2 if frames is None else 3
        levels = halvings(size)
        self.layers = nn.ModuleList()
        self.time = frames or 1
        now = inputs
        for level, out in enumerate(widths(config.channels, levels)):
            if dimensions == 2:
                kind: type[nn.Conv2d] = nn.Conv2d if level else FirstConv2d
                layer: nn.Module = kind(now, out, 4, 2, 1)
            else:
                kernel, stride, padding = time_layer(self.time, time_stride)
                cube: type[nn.Conv3d] = nn.Conv3d if level else FirstConv3d
                layer = cube(now, out, (kernel, 4, 4), (stride, 2, 2), (padding, 1, 1))
                self.time = (self.time + 2 * padding - kernel) // stride + 1
            norm = config.norm if level else "none"
            self.layers.append(
                nn.Sequential(
                    constrained(layer, config.norm), feature_norm(norm, out, dimensions), nn.LeakyReLU(0.2)
                )
            )
            now = out
        self.width = now

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        features = []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return features


def time_layer(frames: int, stride: int) -> tuple[int, int, int]:
    """Kernel, stride and padding in time of a 3-D layer that gets `frames`."""
    if stride == 1:
        return min(4, frames), 1, 0
    return (4, 2, 1) if frames > 2 else (3, 1, 1)


class ImageDiscriminator(Discriminator):
    """Scores `frames` (1 unless set) random frames of each clip, each by itself (MoCoGAN's D_I).

    With `patches` the maps stop at 8×8 and a frame has 4×4 scores of its overlapping parts, as MoCoGAN's D_I.
    """

    sums_frames = False

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
        self.head = constrained(nn.Conv2d(layers.width, 1, 4, stride, padding), config.norm)
        self.seen = min(config.frames or (8 if self.sums_frames else 1), frames)

    def choose_times(self, clips: int, frames: int, random: torch.Generator) -> torch.Tensor:
        order = torch.rand(clips, frames, generator=random).argsort(1)
        return order[:, : self.seen].sort(1).values

    def trunk(self, video: torch.Tensor, times: torch.Tensor) -> list[torch.Tensor]:  # noqa: ARG002
        return [unfold(maps, len(video)) for maps in self.layers(frames_first(video))]

    def score(self, features: torch.Tensor, times: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        scores = unfold(self.head(fold(features)).flatten(1), len(features))
        return scores.sum(1) if self.sums_frames else scores.flatten(1)

    def pooled(self, features: torch.Tensor) -> torch.Tensor:
        return features.mean((1, 3, 4))


class SpatialDiscriminator(ImageDiscriminator):
    """DVD-GAN's D_S: 8 random frames (unless set) at full resolution, their scores summed per clip."""

    sums_frames = True


class VideoDiscriminator(Discriminator):
    """3-D convolutions over the whole clip (VGAN, TGAN, MoCoGAN's D_V).

    `time_stride` 2 halves time at every layer; 1 is MoCoGAN's, with kernels of four frames and no padding,
    for 2.5 times the arithmetic.
    """

    def __init__(
        self,
        config: DiscriminatorConfig,
        size: int,
        frames: int,
        labels: int = 0,
        classifies: bool = False,
        time_stride: int = 2,
    ) -> None:
        if time_stride not in (1, 2):
            raise ConfigError(f"discriminators.options.time_stride = {time_stride}", "use 1 or 2")
        layers = Layers(config, size, frames, time_stride=time_stride)
        super().__init__(config, layers.width, labels, classifies)
        self.layers = layers
        self.head = constrained(nn.Conv3d(layers.width, 1, (layers.time, 4, 4)), config.norm)

    def trunk(self, video: torch.Tensor, times: torch.Tensor) -> list[torch.Tensor]:  # noqa: ARG002
        maps: list[torch.Tensor] = self.layers(video)
        return maps

    def score(self, features: torch.Tensor, times: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        scores: torch.Tensor = self.head(features).flatten(1)
        return scores


class TemporalDiscriminator(VideoDiscriminator):
    """DVD-GAN's D_T: the whole clip after 2×2 average pooling, so that it must look at motion."""

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
    """D(x, e, m): a clip together with its learned embedding e = E(x) and its motion m = M(·).

    s = w·φ(x) + ⟨W φ(x), [ē; m]⟩, φ the pooled features of a 3-D trunk, e ∈ [B, C, T'] the spatially pooled
    maps of E (a 3-D trunk that keeps time), ē its mean. M works on what `motion_from` says:

    - "embedding": the temporal differences of e, Conv1d k=3, ReLU, mean over time;
    - "frame-difference": x_{t+1} − x_t, "optical-flow": Lucas-Kanade flow of the luma; both through 2-D
      convolutions, mean over positions and time.

    E and M are parts of the discriminator: trained with its loss only and frozen in the generator's phase,
    or G could win by making E collapse. Both are computed from x inside the graph, so that a gradient penalty
    bounds the whole map from x to s.
    """

    motion_dim = 64

    def __init__(
        self, config: DiscriminatorConfig, size: int, frames: int, labels: int = 0, classifies: bool = False
    ) -> None:
        layers = Layers(config, size, frames)
        super().__init__(config, layers.width, labels, classifies)
        self.layers = layers
        norm, channels = config.norm, config.channels
        self.embed = nn.Sequential(
            constrained(nn.Conv3d(3, channels, (1, 4, 4), (1, 2, 2), (0, 1, 1)), norm),
            nn.LeakyReLU(0.2),
            constrained(nn.Conv3d(channels, 2 * channels, (3, 4, 4), (1, 2, 2), 1), norm),
            nn.LeakyReLU(0.2),
        )
        if config.motion_from == "embedding":
            self.motion: nn.Module = nn.Sequential(
                constrained(nn.Conv1d(2 * channels, self.motion_dim, 3, padding=1), norm), nn.ReLU()
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
        self.project = constrained(nn.Linear(layers.width, 2 * channels + self.motion_dim), norm)

    def trunk(self, video: torch.Tensor, times: torch.Tensor) -> list[torch.Tensor]:  # noqa: ARG002
        """The trunk's maps; the last element packs φ, ē and m as [B, width + 2·channels + 64, 1]."""
        maps: list[torch.Tensor] = self.layers(video)
        embedding = self.embed(video).mean((3, 4))
        packed = torch.cat(
            [maps[-1].flatten(2).mean(2), embedding.mean(2), self.estimate(video, embedding)], 1
        )
        return [*maps, packed[..., None]]

    def estimate(self, video: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """m: [B, 64]."""
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


def optical_flow(video: torch.Tensor, window: int = 5, damping: float = 1e-2) -> torch.Tensor:
    """Lucas-Kanade flow between neighbouring frames, differentiable.

    Solves (Σ ∇I ∇Iᵀ + damping·1) v = −Σ I_t ∇I over a box of `window` pixels, on the luma (Rec. 601).

    Args:
        video: float [B, 3, T, H, W] in [−1, 1].
        window: side of the box, odd.
        damping: keeps flat regions at zero flow.

    Returns:
        float [B, 2, T−1, H, W], (x, y) in pixels per frame.
    """
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=video.dtype, device=video.device)
    luma = torch.einsum("bcthw,c->bthw", video, weights)
    change = luma.diff(dim=1)
    middle = F.pad((luma[:, 1:] + luma[:, :-1]) / 2, (1, 1, 1, 1), mode="replicate")
    along_x = (middle[..., 1:-1, 2:] - middle[..., 1:-1, :-2]) / 2
    along_y = (middle[..., 2:, 1:-1] - middle[..., :-2, 1:-1]) / 2

    def box(values: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(values, window, 1, window // 2)

    xx, yy, xy = box(along_x.square()) + damping, box(along_y.square()) + damping, box(along_x * along_y)
    xt, yt = box(along_x * change), box(along_y * change)
    determinant = xx * yy - xy.square()
    return torch.stack([xy * yt - yy * xt, xy * xt - xx * yt], 1) / determinant[:, None]


class TimeConditionedDiscriminator(Discriminator):
    """Three (unless set) frames of the clip and the time between them (StyleGAN-V, Skorokhodov et al. 2022).

    Each frame passes a 2-D trunk to 8×8; the maps are concatenated over frames and go on to 4×4; the score is
    w·φ + ⟨P e(Δt), φ⟩ with sine features of the time differences. Sees fractional times too. With two frames
    it is DIGAN's pair discriminator.
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
        order = torch.rand(clips, frames, generator=random).argsort(1)
        return order[:, : self.seen].sort(1).values

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


DISCRIMINATORS: dict[str, Callable[..., Discriminator]] = {
    "image": ImageDiscriminator,
    "video3d": VideoDiscriminator,
    "spatial": SpatialDiscriminator,
    "temporal": TemporalDiscriminator,
    "embedding-motion": EmbeddingMotionDiscriminator,
    "time-conditioned": TimeConditionedDiscriminator,
}


def build_discriminator(
    config: DiscriminatorConfig, size: int, frames: int, labels: int = 0, classifies: bool = False
) -> Discriminator:
    """Build the discriminator that the config names.

    Args:
        config: see `DiscriminatorConfig`.
        size: side of the clips in pixels.
        frames: length of the clips.
        labels: number of classes, 0 without.
        classifies: give it a class head (for "categorical-information") in place of the projection term.
    """
    # A user's own class decides for itself what it does with labels.
    conditions = (labels, classifies) if config.name in DISCRIMINATORS else ()
    arguments = (config, size, frames, *conditions)
    return build_part(
        "discriminator", config.name, DISCRIMINATORS, Discriminator, *arguments, options=config.options
    )


def needed_times(frames: int, clips: int, device: torch.device | None = None) -> torch.Tensor:
    """Times of every frame of a clip: float [clips, frames]."""
    return torch.arange(frames, dtype=torch.float32, device=device).expand(clips, -1)
