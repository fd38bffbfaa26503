"""The set metrics as `torchmetrics.Metric`: update in a training loop, sync over processes, compute.

Needs the package torchmetrics (`pip install torchmetrics`). The states of FVD and IS are sums, so memory does
not grow with the number of clips, and several processes add theirs up; KVD keeps the features. Everything is
computed in float64.

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
    """What the three metrics share: an extractor, or inputs that already are features or logits."""

    is_differentiable = False
    full_state_update = False

    def __init__(self, extractor: nn.Module | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.extractor = None if extractor is None else extractor.eval()

    def _extract(self, batch: torch.Tensor, output: Literal["features", "logits"]) -> torch.Tensor:
        """float64 [B, D] from uint8 clips [B, T, H, W, 3], or from features or logits [B, D]."""
        if self.extractor is not None:
            self.extractor.eval()  # the loop's `train()` reaches it, and would move its running statistics
            with torch.no_grad():
                batch = getattr(self.extractor(batch), output)
            if batch is None:
                raise VgbenchError(
                    "the inception score needs class logits, but this extractor has none",
                    "choose an extractor with classes",
                )
        if batch.ndim != 2 or not torch.isfinite(batch).all():
            raise VgbenchError(
                f"expected finite {output} [B, D], got shape {list(batch.shape)}",
                "pass an extractor if the inputs are clips",
            )
        return batch.detach().double()


class _Distance(_FromClips):
    """A distance between real and generated clips.

    Args:
        extractor: takes uint8 [B, T, H, W, 3] and has `.features` in its output; None if `update` gets
            features.
        keep_real: whether `reset` keeps the real side, so that one pass over the data is enough for a whole
            training.
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
                kept[name] = list(value) if isinstance(value, list) else value  # reset clears lists in place
        super().reset()
        for name, value in kept.items():
            setattr(self, name, value)


class FrechetVideoDistance(_Distance):
    """FVD as a torchmetrics metric, equal to `vgbench.metrics.frechet_distance` on all features together.

    Args:
        extractor: network that takes uint8 clips; None if `update` gets features [B, D].
        feature_dimension: D; by default that of the extractor's `spec`.
        covariance: "unbiased" (divisor N − 1) or "biased" (N).
        keep_real: whether `reset` keeps the real side.
        kwargs: arguments of `torchmetrics.Metric`.
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
            raise VgbenchError("FrechetVideoDistance needs an extractor or a feature_dimension")
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
        """The distance, a float64 scalar.

        Raises:
            VgbenchError: one side has fewer than two clips.
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
    """KVD as a torchmetrics metric, equal to `vgbench.metrics.kernel_distance` on all features together.

    Args:
        extractor: network that takes uint8 clips; None if `update` gets features [B, D].
        keep_real: whether `reset` keeps the real side.
        kwargs: arguments of `torchmetrics.Metric`.
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
        """Unbiased MMD², a float64 scalar.

        Raises:
            VgbenchError: one side has fewer than two clips.
        """
        if not (len(self.real_features) and len(self.generated_features)):
            raise VgbenchError(
                "both sides need clips before compute()", "call update for real and for generated clips"
            )
        x, y = (_array(dim_zero_cat(side)) for side in (self.generated_features, self.real_features))
        return torch.tensor(kernel_distance(x, y), dtype=torch.float64)


class VideoInceptionScore(_FromClips):
    """Inception score over all clips (one split), equal to `vgbench.metrics.inception_score(logits).mean`.

    Args:
        extractor: network with class logits that takes uint8 clips; None if `update` gets logits [B, K].
        classes: K; by default that of the extractor's `spec`.
        kwargs: arguments of `torchmetrics.Metric`.
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
            raise VgbenchError("VideoInceptionScore needs an extractor or the number of classes")
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
        """The score in [1, K], a float64 scalar.

        Raises:
            VgbenchError: there are no clips yet.
        """
        if int(self.n) == 0:
            raise VgbenchError("no clips before compute()", "call update first")
        moments = InceptionMoments(int(self.n), _array(self.total), float(self.negentropy))
        return torch.tensor(moments.score(), dtype=torch.float64)


def _array(tensor: torch.Tensor) -> npt.NDArray[np.float64]:
    return np.asarray(tensor.cpu().numpy(), dtype=np.float64)
