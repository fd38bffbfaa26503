"""The set metrics as `torchmetrics.Metric`: update in a training loop, sync over processes, compute.

Needs the package torchmetrics (`pip install torchmetrics`). States are sums where that is enough (FVD, IS),
so memory does not grow with the number of clips, and processes add theirs up; KVD keeps the features. All
computing is in float64.

    fvd = FrechetVideoDistance(vgbench.extractors.load("embedded"))
    fvd.update(real_clips, real=True)
    fvd.update(generated_clips, real=False)
    fvd.compute()
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from vgbench.errors import VgbenchError
from vgbench.metrics.frechet import Covariance, FrechetMoments
from vgbench.metrics.inception import InceptionMoments
from vgbench.metrics.kernel import kernel_distance


class _FromClips(Metric):
    """What the three share: an extractor, or inputs that are features (or logits) already."""

    is_differentiable = False
    full_state_update = False

    def __init__(self, extractor: nn.Module | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.extractor = None if extractor is None else extractor.eval()

    def _extract(self, batch: torch.Tensor, output: Literal["features", "logits"]) -> torch.Tensor:
        """float64 [B, D] of uint8 clips [B, T, H, W, 3], or of ready rows [B, D]."""
        if self.extractor is not None:
            self.extractor.eval()  # the loop's `train()` reaches it, and would move its running statistics
            with torch.no_grad():
                batch = getattr(self.extractor(batch), output)
            if batch is None:
                raise VgbenchError(
                    "the inception score needs class logits, and this extractor has none",
                    "choose an extractor with classes",
                )
        if batch.ndim != 2 or not torch.isfinite(batch).all():
            raise VgbenchError(
                f"expected finite {output} [B, D], got shape {list(batch.shape)}",
                "pass an extractor if the input is clips",
            )
        return batch.detach().double()


class _Distance(_FromClips):
    """A distance between real and generated clips.

    Args:
        extractor: takes uint8 [B, T, H, W, 3] and has `.features` in its output; None if updates bring
            features.
        keep_real: `reset` keeps the real side, so that one pass over the data serves a whole training.
    """

    higher_is_better = False

    def __init__(self, extractor: nn.Module | None, keep_real: bool, **kwargs: Any) -> None:
        super().__init__(extractor, **kwargs)
        self.keep_real = keep_real

    def reset(self) -> None:
        kept = {}
        if self.keep_real:
            for name in filter(lambda name: name.startswith("real_"), self._defaults):
                value = getattr(self, name)
                kept[name] = list(value) if isinstance(value, list) else value  # reset empties lists in place
        super().reset()
        for name, value in kept.items():
            setattr(self, name, value)


class FrechetVideoDistance(_Distance):
    """FVD as a torchmetrics metric; equals `vgbench.metrics.frechet_distance` on all features together.

    Args:
        extractor: network that takes uint8 clips; None if `update` gets features [B, D].
        feature_dimension: D; known from the extractor's `spec` where it has one.
        covariance: divisor N − 1 or N.
        keep_real: `reset` keeps the real side.
        kwargs: of `torchmetrics.Metric`.
    """

    plot_lower_bound = 0.0

    def __init__(
        self,
        extractor: nn.Module | None = None,
        feature_dimension: int | None = None,
        covariance: Covariance = "unbiased",
        keep_real: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(extractor, keep_real, **kwargs)
        self.covariance: Covariance = covariance
        dimension = feature_dimension or getattr(getattr(extractor, "spec", None), "feature_dimension", None)
        if dimension is None:
            raise VgbenchError("FrechetVideoDistance needs feature_dimension without an extractor")
        for side in ("real", "generated"):
            self.add_state(f"{side}_n", torch.tensor(0), dist_reduce_fx="sum")
            self.add_state(f"{side}_sum", torch.zeros(dimension).double(), dist_reduce_fx="sum")
            self.add_state(f"{side}_outer", torch.zeros(dimension, dimension).double(), dist_reduce_fx="sum")

    def update(self, batch: torch.Tensor, real: bool) -> None:
        """Add uint8 clips [B, T, H, W, 3], or features [B, D] without an extractor, to one side."""
        x = self._extract(batch, "features")
        side = "real" if real else "generated"
        self._add(f"{side}_n", len(x))
        self._add(f"{side}_sum", x.sum(dim=0))
        self._add(f"{side}_outer", x.T @ x)

    def compute(self) -> torch.Tensor:
        """Distance, float64.

        Raises:
            VgbenchError: a side has fewer than two clips.
        """
        value = self._moments("generated").distance(self._moments("real"), covariance=self.covariance)
        return torch.tensor(value, dtype=torch.float64)

    def _add(self, name: str, amount: torch.Tensor | int) -> None:
        setattr(self, name, getattr(self, name) + amount)

    def _moments(self, side: str) -> FrechetMoments:
        n = int(getattr(self, f"{side}_n"))
        total, outer = _array(getattr(self, f"{side}_sum")), _array(getattr(self, f"{side}_outer"))
        return FrechetMoments(n, total / max(n, 1), outer - np.outer(total, total) / max(n, 1))


class KernelVideoDistance(_Distance):
    """KVD as a torchmetrics metric; equals `vgbench.metrics.kernel_distance` on all features together.

    Args:
        extractor: network that takes uint8 clips; None if `update` gets features [B, D].
        keep_real: `reset` keeps the real side.
        kwargs: of `torchmetrics.Metric`.
    """

    real_features: list[torch.Tensor]
    generated_features: list[torch.Tensor]

    def __init__(self, extractor: nn.Module | None = None, keep_real: bool = False, **kwargs: Any) -> None:
        super().__init__(extractor, keep_real, **kwargs)
        self.add_state("real_features", [], dist_reduce_fx="cat")
        self.add_state("generated_features", [], dist_reduce_fx="cat")

    def update(self, batch: torch.Tensor, real: bool) -> None:
        """Add uint8 clips [B, T, H, W, 3], or features [B, D] without an extractor, to one side."""
        x = self._extract(batch, "features")
        (self.real_features if real else self.generated_features).append(x)

    def compute(self) -> torch.Tensor:
        """Unbiased MMD², float64.

        Raises:
            VgbenchError: a side has fewer than two clips.
        """
        if not (len(self.real_features) and len(self.generated_features)):
            raise VgbenchError("both sides need clips before compute()", "call update for real and generated")
        x, y = (_array(dim_zero_cat(side)) for side in (self.generated_features, self.real_features))
        return torch.tensor(kernel_distance(x, y), dtype=torch.float64)


class VideoInceptionScore(_FromClips):
    """Inception score over all clips (one split); equals `vgbench.metrics.inception_score(logits).mean`.

    Args:
        extractor: network with class logits that takes uint8 clips; None if `update` gets logits [B, K].
        classes: K; known from the extractor's `spec` where it has one.
        kwargs: of `torchmetrics.Metric`.
    """

    higher_is_better = True
    plot_lower_bound = 1.0
    n: torch.Tensor
    total: torch.Tensor
    negentropy: torch.Tensor

    def __init__(self, extractor: nn.Module | None = None, classes: int | None = None, **kwargs: Any) -> None:
        super().__init__(extractor, **kwargs)
        known = classes or len(getattr(getattr(extractor, "spec", None), "classes", ()))
        if not known:
            raise VgbenchError("VideoInceptionScore needs the number of classes without an extractor")
        self.add_state("n", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros(known).double(), dist_reduce_fx="sum")
        self.add_state("negentropy", torch.tensor(0.0).double(), dist_reduce_fx="sum")

    def update(self, batch: torch.Tensor) -> None:
        """Add generated uint8 clips [B, T, H, W, 3], or logits [B, K] without an extractor."""
        moments = InceptionMoments.from_logits(_array(self._extract(batch, "logits")))
        self.n = self.n + moments.n
        self.total = self.total + torch.from_numpy(moments.total).to(self.total.device)
        self.negentropy = self.negentropy + moments.negentropy

    def compute(self) -> torch.Tensor:
        """Score in [1, K], float64.

        Raises:
            VgbenchError: no clips yet.
        """
        if int(self.n) == 0:
            raise VgbenchError("no clips before compute()", "call update first")
        moments = InceptionMoments(int(self.n), _array(self.total), float(self.negentropy))
        return torch.tensor(moments.score(), dtype=torch.float64)


def _array(tensor: torch.Tensor) -> npt.NDArray[np.float64]:
    return np.asarray(tensor.cpu().numpy(), dtype=np.float64)
