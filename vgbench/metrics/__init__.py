"""Metrics: functions of arrays, with their uncertainty.

`METRICS` is the table of all of them; `metric` says what an entry declares. scipy and OpenCV load on first
use.
"""

from __future__ import annotations

from typing import NoReturn

from vgbench.errors import ConfigError
from vgbench.metrics.choice import Choice, parse, parse_list, with_companions
from vgbench.metrics.clip_view import ClipView
from vgbench.metrics.frechet import FrechetMoments, frechet_distance
from vgbench.metrics.inception import InceptionScore, inception_score
from vgbench.metrics.kernel import jedi_mmd, kernel_distance
from vgbench.metrics.metric import Metric, Option, per_clip_metric
from vgbench.metrics.prdc import PRDC, precision_recall_density_coverage
from vgbench.metrics.score import Samples, Score
from vgbench.metrics.table import METRICS
from vgbench.metrics.temporal import (
    average_content_distance,
    dynamic_degree,
    dynamic_share,
    flow_histogram,
    motion_smoothness,
    periodicity,
    temporal_flicker,
    warping_error,
)
from vgbench.metrics.uncertainty import difference, score_clips
from vgbench.metrics.viideo import viideo

__all__ = [
    "METRICS",
    "PRDC",
    "Choice",
    "ClipView",
    "FrechetMoments",
    "InceptionScore",
    "Metric",
    "Option",
    "Samples",
    "Score",
    "average_content_distance",
    "difference",
    "dynamic_degree",
    "dynamic_share",
    "flow_histogram",
    "frechet_distance",
    "inception_score",
    "jedi_mmd",
    "kernel_distance",
    "motion_smoothness",
    "parse",
    "parse_list",
    "per_clip_metric",
    "periodicity",
    "precision_recall_density_coverage",
    "score_clips",
    "temporal_flicker",
    "viideo",
    "warping_error",
    "with_companions",
]

_REPLACED = {
    "SetMetric": "Metric(name, title, 'features', score, directions, citation)",
    "DescriptorMetric": "Metric(name, title, 'pixels', score, directions, citation, measure)",
    "ClipMetric": "per_clip_metric(name, title, measure, better=…, citation=…)",
}


def __getattr__(name: str) -> NoReturn:
    if name in _REPLACED:  # modules of users still declare their own metrics by these
        raise ConfigError(f"vgbench.metrics.{name} is gone", f"write vgbench.metrics.{_REPLACED[name]}")
    raise AttributeError(f"module 'vgbench.metrics' has no attribute '{name}'")
