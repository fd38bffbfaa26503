"""The generator, which turns latents into clips, and everything that draws latents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from vgbench.errors import VgbenchError
from vgbench.named import unknown_name
from vgbench.reference_models.config import ModelConfig
from vgbench.reference_models.decoders import build_decoder
from vgbench.reference_models.layers import gather_frames
from vgbench.reference_models.motion import build_motion

CONTENT_STREAM, MOTION_STREAM, LABEL_STREAM = 0, 1, 2


@dataclass(frozen=True)
class Latents:
    """What a batch of clips is made from.

    Attributes:
        content: latent that stays the same for all frames of a clip, float [B, content_dim].
        motion: noise of the motion module, float [B, *noise_shape].
        label: index of the class, int64 [B]; None for a model without classes.
        first_frame: float [B, 3, H, W] in [−1, 1]; None for a model that continues no first frame.
    """

    content: torch.Tensor
    motion: torch.Tensor
    label: torch.Tensor | None = None
    first_frame: torch.Tensor | None = None

    def __getitem__(self, rows: slice) -> Latents:
        return Latents(*(None if part is None else part[rows] for part in self._parts()))  # type: ignore[arg-type]

    def to(self, device: torch.device) -> Latents:
        return Latents(*(None if part is None else part.to(device) for part in self._parts()))  # type: ignore[arg-type]

    def _parts(self) -> tuple[torch.Tensor | None, ...]:
        return self.content, self.motion, self.label, self.first_frame

    def __len__(self) -> int:
        return len(self.content)


class FirstFrameEncoder(nn.Module):
    """First frame [B, 3, H, W] -> vector [B, width]: strided convolutions down to 4×4, then a linear map."""

    def __init__(self, size: int, channels: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        now, side, after = 3, size, channels
        while side > 4:
            layers += [nn.Conv2d(now, after, 4, 2, 1), nn.LeakyReLU(0.2)]
            now, side, after = after, side // 2, min(2 * after, 8 * channels)
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(now * side * side, width))

    def forward(self, frame: torch.Tensor) -> torch.Tensor:
        encoded: torch.Tensor = self.layers(frame)
        return encoded


class Generator(nn.Module):
    """Content latent, motion module and decoder.

    The decoder receives [content; label embedding; encoded first frame], where the config decides which of
    these exist, and one motion code per frame.

    Attributes:
        config: of the model.
        class_counts: number of usable training clips of each class; empty if unknown. Labels are drawn in
            proportion.
        frame_rate: frames per second of the training clips; None if unknown.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.class_counts: tuple[int, ...] = ()
        self.frame_rate: float | None = None
        parts = config.generator
        condition = 0
        self.label_embedding: nn.Embedding | None = None
        self.encoder: FirstFrameEncoder | None = None
        if config.label_count:
            self.label_embedding = nn.Embedding(config.label_count, 16)
            condition += 16
        if parts.first_frame:
            self.encoder = FirstFrameEncoder(config.size, parts.channels, 64)
            condition += 64
        self.motion = build_motion(parts.motion, config.frames)
        self.decoder = build_decoder(
            parts, config.size, config.frames, parts.content_dim + condition, self.motion.code_dim
        )

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def horizon(self) -> int | None:
        """The only clip length that this generator can make; None if it can make any."""
        return self.motion.horizon or self.decoder.horizon

    @property
    def renders_single_frames(self) -> bool:
        """Whether some frames of a clip can be made without the others."""
        return not self.decoder.frames_interact

    def forward(self, latents: Latents, times: torch.Tensor) -> torch.Tensor:
        """Make clips.

        Args:
            latents: a batch of B.
            times: float [B, K]: the times of the frames to make, in training frames from 0. If the frames of
                the decoder interact, it makes the whole clip up to the last time, and these frames are
                selected.

        Returns:
            float [B, 3, K, H, W] in [−1, 1].
        """
        content = self.conditioned(latents)
        if self.renders_single_frames:
            video: torch.Tensor = self.decoder(content, self.motion(latents.motion, times))
            return video
        length = self.horizon or int(times.max().item()) + 1
        every = torch.arange(length, dtype=torch.float32, device=content.device).expand(len(content), -1)
        video = self.decoder(content, self.motion(latents.motion, every))
        return video if torch.equal(times, every) else gather_frames(video, times)

    def conditioned(self, latents: Latents) -> torch.Tensor:
        """Return what the decoder receives besides motion codes: float [B, content_dim + condition]."""
        parts = [latents.content]
        if self.label_embedding is not None:
            assert latents.label is not None
            parts.append(self.label_embedding(latents.label))
        if self.encoder is not None:
            assert latents.first_frame is not None
            parts.append(self.encoder(latents.first_frame))
        return torch.cat(parts, 1)

    def sample(
        self,
        n: int,
        seed: int = 0,
        frames: int | None = None,
        label: int | str | Sequence[int | str] | None = None,
        *,
        first_frame: npt.NDArray[np.uint8] | None = None,
        fix: Literal["content", "motion"] | None = None,
        balanced: bool = False,
        frame_step: float = 1.0,
        truncation: float = 1.0,
        start: int = 0,
        batch: int = 32,
    ) -> npt.NDArray[np.uint8]:
        """Sample clips. Clip i depends only on (seed, i), and neither on n nor on the batch size.

        Args:
            n: number of clips.
            seed: seed of the latents.
            frames: number of frames; that of the training clips by default.
            label: class index or name, one for all clips or one per clip. By default, classes are drawn as
                often as they occur in the training data, or uniformly if `class_counts` is empty.
            first_frame: uint8 [H, W, 3] or [n, H, W, 3] of the model's size, for models that continue it.
            fix: use the "content" or the "motion" latent of clip 0 for all clips. A class that is drawn
                belongs to the content.
            balanced: draw all classes equally often.
            frame_step: time between two frames, in training frames; 0.5 doubles the frame rate. Only
                continuous motion modules accept other values than 1.
            truncation: ψ in [0, 1]: how far content may be from its mean, as a share of how far it is in
                training. Smaller values give more typical and less varied clips. It acts on the style of
                decoders with a mapping network (Karras et al. 2019), and on the content latent of others.
            start: index of the first clip, so that a set can be sampled in parts.
            batch: number of clips computed at once.

        Returns:
            uint8 [n, T, H, W, 3], RGB.

        Raises:
            VgbenchError: the model cannot make clips of this length, label or condition.
        """
        frames = self.config.frames if frames is None else frames
        self._check_request(n, start, frames, frame_step, fix)
        if not 0 <= truncation <= 1:
            raise VgbenchError(f"truncation = {truncation:g}", "use a number from 0 to 1")
        span = round((frames - 1) * frame_step + 0.5) + 1 if frame_step != 1 else frames
        rows = range(start, start + n)
        labels = torch.tensor(self.labels(rows, seed, label, fix, balanced=balanced), dtype=torch.long)
        first_frames = self._first_frames(n, first_frame)
        chunks = []
        was_training = self.training
        self.eval()
        self.decoder.truncation = truncation
        shrink = 1.0 if self.decoder.maps_latents else truncation
        try:
            for done in range(0, n, batch):
                part = slice(done, done + batch)
                latents = self.draw_each(rows[part], seed, span, fix)
                latents = Latents(
                    latents.content * shrink,
                    latents.motion,
                    labels[part] if len(labels) else None,
                    None if first_frames is None else first_frames[part],
                ).to(self.device)
                times = torch.arange(frames, device=self.device) * float(frame_step)
                with torch.no_grad():
                    video = self(latents, times.expand(len(latents), -1))
                chunks.append(to_uint8(video))
        finally:
            self.decoder.truncation = 1.0
            self.train(was_training)
        if chunks:
            return np.concatenate(chunks)
        return np.zeros((0, frames, self.config.size, self.config.size, 3), np.uint8)

    def draw(
        self,
        n: int,
        frames: int,
        random: torch.Generator,
        label: torch.Tensor | None = None,
        first_frame: torch.Tensor | None = None,
    ) -> Latents:
        """Draw the latents of n training clips from one stream of random numbers, on the CPU."""
        content = torch.randn(n, self.config.generator.content_dim, generator=random)
        motion = torch.randn(n, *self.motion.noise_shape(frames), generator=random)
        if label is None and self.config.label_count:
            label = torch.randint(self.config.label_count, (n,), generator=random)
        return Latents(content, motion, label, first_frame)

    def draw_each(
        self,
        rows: Sequence[int],
        seed: int,
        frames: int,
        fix: Literal["content", "motion"] | None = None,
    ) -> Latents:
        """Draw the latents of `sample`, without conditions: those of clip i depend only on (seed, i).

        Args:
            rows: indices of the clips.
            seed: seed of the latents.
            frames: length of the clips, in training frames.
            fix: use this latent of clip 0 for all clips.
        """

        def normal(row: int, stream: int, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
            return np.random.default_rng([seed, row, stream]).standard_normal(shape).astype(np.float32)

        content_shape, motion_shape = (self.config.generator.content_dim,), self.motion.noise_shape(frames)
        content = [normal(0 if fix == "content" else row, CONTENT_STREAM, content_shape) for row in rows]
        motion = [normal(0 if fix == "motion" else row, MOTION_STREAM, motion_shape) for row in rows]
        return Latents(torch.from_numpy(np.stack(content)), torch.from_numpy(np.stack(motion)))

    def _check_request(
        self, n: int, start: int, frames: int, frame_step: float, fix: Literal["content", "motion"] | None
    ) -> None:
        name = self.config.generator.motion.name
        if n < 0 or start < 0 or frames < 1 or frame_step <= 0:
            raise VgbenchError(
                f"cannot sample {n} clips of {frames} frames, from clip {start} on, frame_step {frame_step}"
            )
        if self.horizon is not None and frames != self.horizon:
            raise VgbenchError(
                f"motion '{name}' makes exactly {self.horizon} frames, but {frames} were asked for",
                "models with motion gru, lstm, transformer, fourier or implicit make clips of any length",
            )
        if frame_step != 1 and not (self.motion.continuous and self.renders_single_frames):
            raise VgbenchError(
                f"motion '{name}' has no frames between frames (frame_step {frame_step})",
                "models with motion fourier or implicit make clips of any frame rate",
            )
        if fix not in (None, "content", "motion"):
            raise VgbenchError(f"fix = {fix!r}", "use 'content' or 'motion'")
        if fix == "motion" and 0 in self.motion.noise_shape(frames):
            raise VgbenchError(f"motion '{name}' has no motion latent of its own to fix")

    def labels(
        self,
        rows: Sequence[int],
        seed: int = 0,
        label: int | str | Sequence[int | str] | None = None,
        fix: Literal["content", "motion"] | None = None,
        *,
        balanced: bool = False,
    ) -> list[int]:
        """Return the class index of each clip of `sample`; an empty list for a model without classes.

        Args:
            rows: indices of the clips.
            seed: as for `sample`.
            label: as for `sample`.
            fix: as for `sample`.
            balanced: as for `sample`.

        Raises:
            VgbenchError: the model has no such label.
        """
        count = self.config.label_count
        if not count:
            if label is not None:
                raise VgbenchError("this model was trained without labels", "leave the label out")
            return []
        if label is None:
            drawn = [0 if fix == "content" else row for row in rows]
            streams = [np.random.default_rng([seed, row, LABEL_STREAM]) for row in drawn]
            if balanced or not any(self.class_counts):
                return [int(random.integers(count)) for random in streams]
            shares = np.cumsum(self.class_counts) / sum(self.class_counts)
            return [int(np.searchsorted(shares, random.random(), side="right")) for random in streams]
        given = [label] * len(rows) if isinstance(label, int | str) else list(label)
        if len(given) != len(rows):
            raise VgbenchError(f"{len(given)} labels for {len(rows)} clips")
        return [self._label_index(one) for one in given]

    def _label_index(self, label: int | str) -> int:
        classes = self.config.classes
        if isinstance(label, str) and label in classes:
            return classes.index(label)
        if isinstance(label, str) and not label.isdigit():
            raise unknown_name("label", label, classes)
        if not 0 <= int(label) < self.config.label_count:
            raise VgbenchError(
                f"label {label}: this model has {self.config.label_count} classes, numbered from 0"
            )
        return int(label)

    def _first_frames(self, n: int, first_frame: npt.NDArray[np.uint8] | None) -> torch.Tensor | None:
        if self.encoder is None:
            if first_frame is not None:
                raise VgbenchError("this model was trained without a first frame", "leave it out")
            return None
        if first_frame is None:
            raise VgbenchError(
                "this model continues a first frame, and none was given",
                "give first_frame, or --first-frame IMAGE to vgbench sample",
            )
        pixels = np.asarray(first_frame)
        pixels = np.broadcast_to(pixels, (n, *pixels.shape)) if pixels.ndim == 3 else pixels
        expected = (n, self.config.size, self.config.size, 3)
        if pixels.shape != expected or pixels.dtype != np.uint8:
            raise VgbenchError(f"first_frame is {pixels.dtype} {pixels.shape}, expected uint8 {expected}")
        return from_uint8(pixels[:, None].copy())[:, :, 0]


def from_uint8(clips: npt.NDArray[np.uint8]) -> torch.Tensor:
    """Turn clips into the input of networks: uint8 [B, T, H, W, 3] -> float32 [B, 3, T, H, W] in [−1, 1]."""
    return torch.from_numpy(clips).permute(0, 4, 1, 2, 3).float().div_(127.5).sub_(1)


def to_uint8(video: torch.Tensor) -> npt.NDArray[np.uint8]:
    """Turn the output of networks into clips: float [B, 3, T, H, W] in [−1, 1] -> uint8 [B, T, H, W, 3]."""
    pixels = video.detach().float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 4, 1).contiguous().cpu().numpy()
