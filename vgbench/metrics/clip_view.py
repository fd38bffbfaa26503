"""One window as metrics on pixels see it: its frames, and the optical flow, which several metrics share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from vgbench.metrics import flow
from vgbench.metrics.checks import frames

Frames = npt.NDArray[np.uint8]


class ClipView:
    """The frames of one window, and their optical flow, which is computed on first use and then kept.

    Args:
        clip: uint8 [T, H, W, 3].

    Attributes:
        frames: the frames of `clip`.

    Raises:
        VgbenchError: another dtype or shape.
    """

    def __init__(self, clip: npt.ArrayLike) -> None:
        self.frames: Frames = frames(clip, least_frames=1)
        self._solved: dict[tuple[int, bool], list[flow.Flow]] = {}

    @classmethod
    def of(cls, clip: npt.ArrayLike | ClipView, least_frames: int = 2) -> ClipView:
        """Return `clip` itself if it is a view already, and otherwise a view of it.

        Raises:
            VgbenchError: another dtype or shape, or fewer than `least_frames` frames.
        """
        view = clip if isinstance(clip, ClipView) else cls(clip)
        frames(view.frames, least_frames)
        return view

    def forward(self, step: int = 1) -> list[flow.Flow]:
        """Flow from frame t to frame t + step for t = 0, step, 2 step, …; float32 [H, W, 2] each."""
        return self._flow(step, back=False)

    def pairs(self, step: int = 1) -> Iterator[tuple[flow.Flow, flow.Flow]]:
        """Yield the flow from t to t + step with that from t + step to t; see `flow.solve`."""
        return zip(self.forward(step), self._flow(step, back=True), strict=True)

    def relative_flow(self) -> npt.NDArray[np.float64]:
        """Flow to the next frame as a share of the frame's shorter side, float64 [T − 1, H, W, 2]."""
        flows = np.stack(self.forward()).astype(np.float64)
        return np.asarray(flows / min(self.frames.shape[1:3]), dtype=np.float64)

    def _flow(self, step: int, *, back: bool) -> list[flow.Flow]:
        if (step, back) not in self._solved:
            kept = self.frames[::step]
            self._solved[step, back] = list(flow.solve(kept[::-1]))[::-1] if back else list(flow.solve(kept))
        return self._solved[step, back]
