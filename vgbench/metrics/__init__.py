"""Metrics: functions of arrays, with their uncertainty.

`METRICS` is the one table: whatever evaluates, lists or documents metrics reads it and names none of them.
To add one, write its file, add a line here, a test and a section in docs/metrics.md. scipy and OpenCV load
on first use.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from vgbench.metrics import (
    conditional,
    consistency,
    frame_level,
    frechet,
    inception,
    infinite,
    kernel,
    memorisation,
    metric,
    point_motion,
    prdc,
)
from vgbench.metrics.frechet import FrechetMoments, frechet_distance
from vgbench.metrics.inception import InceptionScore, inception_score
from vgbench.metrics.kernel import jedi_mmd, kernel_distance
from vgbench.metrics.metric import (
    Choice,
    ClipMetric,
    DescriptorMetric,
    Metric,
    Option,
    SetMetric,
    score_names,
)
from vgbench.metrics.prdc import PRDC, precision_recall_density_coverage
from vgbench.metrics.score import Samples, Score
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
    "ClipMetric",
    "DescriptorMetric",
    "FrechetMoments",
    "InceptionScore",
    "Metric",
    "Option",
    "Samples",
    "Score",
    "SetMetric",
    "average_content_distance",
    "difference",
    "dynamic_degree",
    "dynamic_share",
    "frechet_distance",
    "inception_score",
    "jedi_mmd",
    "kernel_distance",
    "motion_smoothness",
    "parse",
    "parse_list",
    "periodicity",
    "precision_recall_density_coverage",
    "score_clips",
    "score_names",
    "temporal_flicker",
    "viideo",
    "warping_error",
    "with_companions",
]

_TABLE: tuple[Metric, ...] = (
    SetMetric(
        "fvd",
        "FVD",
        frechet.score,
        needs="features",
        better={"fvd": "lower"},
        citation="Unterthiner et al. 2018, arXiv:1812.01717",
        options={
            "covariance": Option("unbiased", "divisor N − 1 or N", allowed=("unbiased", "biased")),
            "ridge": Option(0.0, "added to both diagonals", least=0),
        },
        fits_covariance=True,
    ),
    SetMetric(
        "kvd",
        "KVD",
        kernel.score,
        needs="features",
        better={"kvd": "lower"},
        citation="Bińkowski et al. 2018, arXiv:1801.01401; Unterthiner et al. 2018, arXiv:1812.01717",
        options={
            "degree": Option(3, "of the polynomial", least=1),
            "coef0": Option(1.0, "constant inside the power", least=0),
            "biased": Option(False, "keep k(x, x)"),
        },
    ),
    SetMetric(
        "is",
        "IS",
        inception.score,
        needs="logits",
        better={"is": "higher"},
        citation="Salimans et al. 2016, arXiv:1606.03498; Saito et al. 2017, arXiv:1611.06624",
        options={
            "splits": Option(1, "parts scored one by one", least=1),
            "variant": Option(
                "exact", "of published code", allowed=("exact", "tgan", "tganv2", "stylegan-v")
            ),
        },
    ),
    SetMetric(
        "prdc",
        "Precision, recall, density, coverage",
        prdc.score,
        needs="features",
        better={"precision": "higher", "recall": "higher", "density": "higher", "coverage": "higher"},
        citation="Kynkäänniemi et al. 2019, arXiv:1904.06991; Naeem et al. 2020, arXiv:2002.09797",
        options={"k": Option(5, "nearest neighbour that sets the radius", least=1)},
    ),
    SetMetric(
        "jedi_mmd",
        "JEDi MMD",
        kernel.score_jedi,
        needs="features",
        better={"jedi_mmd": "lower"},
        citation="Luo et al. 2024, arXiv:2410.05203",
    ),
    SetMetric(
        "fvd_infinite",
        "FVD∞",
        infinite.score_frechet,
        needs="features",
        better={"fvd_infinite": "lower"},
        citation="Chong and Forsyth 2020, arXiv:1911.07023, with both sets shrunk",
        fits_covariance=True,
    ),
    SetMetric(
        "is_infinite",
        "IS∞",
        infinite.score_inception,
        needs="logits",
        better={"is_infinite": "higher"},
        citation="Chong and Forsyth 2020, arXiv:1911.07023",
    ),
    SetMetric(
        "intra_fvd",
        "Intra-class FVD",
        conditional.score_intra,
        needs="features",
        better={"intra_fvd": "lower"},
        citation="intra-FID of Miyato and Koyama 2018, arXiv:1802.05637",
        fits_covariance=True,
        labels=True,
    ),
    SetMetric(
        "class_accuracy",
        "Class accuracy",
        conditional.score_accuracy,
        needs="features",
        better={"class_accuracy": "higher"},
        citation="idea of MCS, arXiv:1707.04993; linear discriminant fitted on real clips",
        labels=True,
    ),
    SetMetric(
        "copies",
        "Copies of real clips",
        memorisation.score_copies,
        needs="features",
        better={"copied": "lower", "authenticity": "higher"},
        citation="Alaa et al. 2022, arXiv:2102.08921; Meehan et al. 2020, arXiv:2004.05675",
        options={"quantile": Option(0.01, "of the distances between real clips", least=0)},
    ),
    SetMetric(
        "diversity",
        "Diversity",
        memorisation.score_diversity,
        needs="features",
        better={"diversity": "real"},
        citation="idea of Zhu et al. 2017, arXiv:1711.11586; distance of features instead of LPIPS",
    ),
    SetMetric(
        "frame_fid",
        "Frame-level FID",
        frame_level.score_fid,
        needs="frames",
        better={"frame_fid": "lower"},
        citation="Heusel et al. 2017, arXiv:1706.08500, on every frame",
    ),
    SetMetric(
        "stream",
        "STREAM-T, -F, -D",
        frame_level.score_stream,
        needs="frames",
        better={"stream_t": "higher", "stream_f": "higher", "stream_d": "higher"},
        citation="Kim et al. 2024, arXiv:2403.09669",
        options={"k": Option(5, "nearest neighbour that sets the radius", least=1)},
    ),
    SetMetric(
        "drift",
        "Long-range drift",
        frame_level.score_drift,
        needs="frames",
        better={"drift": "real"},
        citation="own definition",
    ),
    SetMetric(
        "frame_consistency",
        "Frame consistency",
        consistency.score,
        needs="frames",
        better={"frame_consistency": "higher"},
        citation="subject and background consistency of Huang et al. 2024, arXiv:2311.17982",
        beside="dynamic_degree",
    ),
    DescriptorMetric(
        "fvmd",
        "FVMD (Lucas–Kanade)",
        point_motion.describe,
        partial(frechet.score, name="fvmd"),
        version="1",
        better={"fvmd": "lower"},
        citation="Liu et al. 2024, arXiv:2407.16124; tracks of Lucas–Kanade instead of PIPs++",
        least_frames=point_motion.WINDOW,
        fits_covariance=True,
    ),
    DescriptorMetric(
        "flow_distance",
        "Flow statistics distance",
        flow_histogram,
        partial(frechet.score, name="flow_distance"),
        version="1",
        better={"flow_distance": "lower"},
        citation="own definition; Fréchet distance as in arXiv:1812.01717",
        fits_covariance=True,
    ),
    ClipMetric(
        "warping_error",
        "Warping error",
        warping_error,
        version="1",
        better="lower",
        citation="Lai et al. 2018, arXiv:1808.00449; flow from the clip itself",
        beside="dynamic_degree",
    ),
    ClipMetric(
        "temporal_flicker",
        "Temporal flicker",
        temporal_flicker,
        version="1",
        better="lower",
        citation="1 − x of Huang et al. 2024, arXiv:2311.17982",
        beside="dynamic_degree",
    ),
    ClipMetric(
        "motion_smoothness",
        "Motion smoothness",
        motion_smoothness,
        version="1",
        better="higher",
        citation="idea of Huang et al. 2024, arXiv:2311.17982; DIS flow instead of AMT-S",
        least_frames=3,
        beside="dynamic_degree",
    ),
    ClipMetric(
        "dynamic_degree",
        "Dynamic degree",
        dynamic_degree,
        version="1",
        better="real",
        citation="idea of Huang et al. 2024, arXiv:2311.17982; DIS flow, no threshold",
        below_real="the clips move less than the real ones, which favours every consistency score",
    ),
    ClipMetric(
        "dynamic_share",
        "Share of dynamic clips",
        dynamic_share,
        version="1",
        better="real",
        citation="Huang et al. 2024, arXiv:2311.17982; DIS flow",
        is_share=True,
    ),
    ClipMetric(
        "acd",
        "ACD (colour)",
        average_content_distance,
        version="1",
        better="real",
        citation="Tulyakov et al. 2018, arXiv:1707.04993",
    ),
    ClipMetric(
        "periodicity",
        "Periodicity",
        periodicity,
        version="1",
        better="real",
        citation="own definition",
        least_frames=4,
    ),
    ClipMetric(
        "viideo",
        "VIIDEO",
        viideo,
        version="1",
        better="lower",
        citation="Mittal, Saad and Bovik 2016, IEEE TIP 25(1)",
        least_frames=4,
        least_size=19,
        beside="dynamic_degree",
    ),
)

METRICS: dict[str, Metric] = {entry.name: entry for entry in _TABLE}


def parse(text: str) -> Choice:
    """Read one metric, such as "fvd", "fvd(covariance=biased)" or "my_package.metrics:sharpness".

    Raises:
        ConfigError: unknown metric or option, a value that is not allowed, or unbalanced brackets.
    """
    return metric.parse(text, METRICS)


def parse_list(texts: str | Iterable[str]) -> list[Choice]:
    """Read several metrics: a sequence, or one text with commas between them.

    Raises:
        ConfigError: as `parse`, or two entries would give scores of one name.
    """
    return metric.parse_list(texts, METRICS)


def with_companions(choices: Iterable[Choice]) -> list[Choice]:
    """Add the metrics that chosen ones must be read beside, such as `dynamic_degree` to `warping_error`."""
    return metric.with_companions(choices, METRICS)
