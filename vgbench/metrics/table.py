"""`METRICS`, the one table of metrics; everything that evaluates, lists or documents metrics reads it.

To add a metric, write its file, and add an entry here, a test, and a section in docs/metrics.md.
"""

from __future__ import annotations

import math
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
    point_motion,
    prdc,
    temporal,
)
from vgbench.metrics.metric import Metric, Option, per_clip_metric
from vgbench.metrics.viideo import viideo

_TABLE = (
    Metric(
        "fvd",
        "FVD",
        "features",
        frechet.score,
        directions={"fvd": "lower"},
        is_distance=True,
        citation="Unterthiner et al. 2018, arXiv:1812.01717",
        options={
            "covariance": Option("unbiased", "divisor N − 1 or N", allowed=("unbiased", "biased")),
            "ridge": Option(0.0, "added to both diagonals", least=0),
        },
        fits_covariance=True,
    ),
    Metric(
        "kvd",
        "KVD",
        "features",
        kernel.score,
        directions={"kvd": "lower"},
        is_distance=True,
        citation="Bińkowski et al. 2018, arXiv:1801.01401; Unterthiner et al. 2018, arXiv:1812.01717",
        options={
            "degree": Option(3, "of the polynomial", least=1),
            "coef0": Option(1.0, "constant inside the power", least=0),
            "biased": Option(False, "keep k(x, x)"),
        },
        version_of_several="2",
        alike_if={"biased": True},
    ),
    Metric(
        "is",
        "IS",
        "logits",
        inception.score,
        directions={"is": "higher"},
        bounds={"is": (1.0, math.inf)},
        citation="Salimans et al. 2016, arXiv:1606.03498; Saito et al. 2017, arXiv:1611.06624",
        options={
            "splits": Option(1, "parts scored one by one", least=1),
            "variant": Option(
                "exact", "of published code", allowed=("exact", "tgan", "tganv2", "stylegan-v")
            ),
        },
        version_of_several="2",
        alike_if={"splits": 1},
    ),
    Metric(
        "prdc",
        "Precision, recall, density, coverage",
        "features",
        prdc.score,
        directions={"precision": "higher", "recall": "higher", "density": "higher", "coverage": "higher"},
        bounds={
            "precision": (0.0, 1.0),
            "recall": (0.0, 1.0),
            "density": (0.0, math.inf),
            "coverage": (0.0, 1.0),
        },
        citation="Kynkäänniemi et al. 2019, arXiv:1904.06991; Naeem et al. 2020, arXiv:2002.09797",
        options={"k": Option(5, "nearest neighbour that sets the radius", least=1)},
        version_of_several="2",
    ),
    Metric(
        "jedi_mmd",
        "JEDi MMD",
        "features",
        kernel.score_jedi,
        directions={"jedi_mmd": "lower"},
        is_distance=True,
        citation="Luo et al. 2024, arXiv:2410.05203",
        differs=(
            "not the paper's JEDi, which takes features of V-JEPA ViT-H/16 with its attentive "
            "probe; vgbench has no such extractor"
        ),
    ),
    Metric(
        "fvd_infinite",
        "FVD∞",
        "features",
        infinite.score_frechet,
        directions={"fvd_infinite": "lower"},
        is_distance=True,
        citation="Chong and Forsyth 2020, arXiv:1911.07023, with both sets shrunk",
        differs=(
            "not computed as by Chong and Forsyth, who shrink the generated set only; here both "
            "sets are shrunk"
        ),
        fits_covariance=True,
        version_of_several="2",
    ),
    Metric(
        "is_infinite",
        "IS∞",
        "logits",
        infinite.score_inception,
        directions={"is_infinite": "higher"},
        citation="Chong and Forsyth 2020, arXiv:1911.07023",
        differs=(
            "not computed as by Chong and Forsyth, whose smallest part has 5,000 images; here it "
            "is a quarter of the clips"
        ),
        version_of_several="2",
    ),
    Metric(
        "intra_fvd",
        "Intra-class FVD",
        "features",
        conditional.score_intra,
        directions={"intra_fvd": "lower"},
        is_distance=True,
        citation="intra-FID of Miyato and Koyama 2018, arXiv:1802.05637",
        fits_covariance=True,
        labels=True,
    ),
    Metric(
        "class_accuracy",
        "Class accuracy",
        "features",
        conditional.score_accuracy,
        directions={"class_accuracy": "higher"},
        bounds={"class_accuracy": (0.0, 1.0)},
        citation="idea of MCS, arXiv:1707.04993; linear discriminant fitted on real clips",
        labels=True,
    ),
    Metric(
        "copies",
        "Copies of real clips",
        "features",
        memorisation.score_copies,
        directions={"copied": "lower", "authenticity": "higher"},
        bounds={"copied": (0.0, 1.0), "authenticity": (0.0, 1.0)},
        citation="Alaa et al. 2022, arXiv:2102.08921; Meehan et al. 2020, arXiv:2004.05675",
        differs=(
            "copied is our own; authenticity follows the definition of Alaa et al. in features of the "
            "extractor, where their code embeds features anew and compares from the real side"
        ),
        options={"quantile": Option(0.01, "of the distances between real clips", least=0)},
        version="2",
    ),
    Metric(
        "diversity",
        "Diversity",
        "features",
        memorisation.score_diversity,
        directions={"diversity": "real"},
        bounds={"diversity": (0.0, math.inf)},
        citation="idea of Zhu et al. 2017, arXiv:1711.11586; distance of features instead of LPIPS",
    ),
    Metric(
        "frame_fid",
        "Frame-level FID",
        "frames",
        frame_level.score_fid,
        directions={"frame_fid": "lower"},
        is_distance=True,
        citation="Heusel et al. 2017, arXiv:1706.08500, on every frame",
    ),
    Metric(
        "stream",
        "STREAM-T, -F, -D",
        "frames",
        frame_level.score_stream,
        directions={"stream_t": "higher", "stream_f": "higher", "stream_d": "higher"},
        bounds={"stream_t": (0.0, 1.0), "stream_f": (0.0, 1.0), "stream_d": (0.0, 1.0)},
        citation="Kim et al. 2024, arXiv:2403.09669",
        differs=(
            "not the paper's numbers, which are for features of SwAV ResNet-50 or DINOv2 "
            "ViT-S/14; vgbench has neither"
        ),
        options={"k": Option(5, "nearest neighbour that sets the radius", least=1)},
        version_of_several="2",
    ),
    Metric(
        "drift",
        "Long-range drift",
        "frames",
        frame_level.score_drift,
        directions={"drift": "real"},
        bounds={"drift": (0.0, math.inf)},
        citation="own definition",
    ),
    Metric(
        "frame_consistency",
        "Frame consistency",
        "frames",
        consistency.score,
        directions={"frame_consistency": "higher"},
        bounds={"frame_consistency": (0.0, 1.0)},
        citation="subject and background consistency of Huang et al. 2024, arXiv:2311.17982",
        differs=(
            "not VBench's subject or background consistency, which takes every frame of a video "
            "at its own size, without antialias; here windows are resized by the protocol"
        ),
        companion="dynamic_degree",
    ),
    Metric(
        "fvmd",
        "FVMD (Lucas–Kanade)",
        "pixels",
        partial(frechet.score, name="fvmd"),
        directions={"fvmd": "lower"},
        is_distance=True,
        citation="Liu et al. 2024, arXiv:2407.16124; tracks of Lucas–Kanade instead of PIPs++",
        differs=(
            "not the paper's FVMD: points are tracked by the method of Lucas and Kanade instead of PIPs++"
        ),
        measure=point_motion.describe,
        least_frames=point_motion.WINDOW,
        fits_covariance=True,
    ),
    Metric(
        "flow_distance",
        "Flow statistics distance",
        "motion",
        partial(frechet.score, name="flow_distance"),
        directions={"flow_distance": "lower"},
        is_distance=True,
        citation="own definition; Fréchet distance as in arXiv:1812.01717",
        measure=temporal.flow_histogram,
        fits_covariance=True,
    ),
    per_clip_metric(
        "warping_error",
        "Warping error",
        temporal.warping_error,
        better="lower",
        citation="Lai et al. 2018, arXiv:1808.00449; flow from the clip itself",
        differs=(
            "not the warping error of Lai et al.: the flow is that of the clip itself, by DIS, "
            "and not that of an input video, by FlowNet2"
        ),
        sees="motion",
        bounds=(0.0, 1.0),
        companion="dynamic_degree",
    ),
    per_clip_metric(
        "temporal_flicker",
        "Temporal flicker",
        temporal.temporal_flicker,
        better="lower",
        citation="1 − x of Huang et al. 2024, arXiv:2311.17982",
        differs=(
            "1 − VBench's temporal flickering, but of resized frames and of all clips; VBench "
            "takes static videos at their own size"
        ),
        bounds=(0.0, 1.0),
        companion="dynamic_degree",
    ),
    per_clip_metric(
        "motion_smoothness",
        "Motion smoothness",
        temporal.motion_smoothness,
        better="higher",
        citation="idea of Huang et al. 2024, arXiv:2311.17982; DIS flow instead of AMT-S",
        differs="not VBench's motion smoothness: frames are interpolated by DIS flow instead of AMT-S",
        sees="motion",
        bounds=(0.0, 1.0),
        least_frames=3,
        companion="dynamic_degree",
    ),
    per_clip_metric(
        "dynamic_degree",
        "Dynamic degree",
        temporal.dynamic_degree,
        better="real",
        citation="idea of Huang et al. 2024, arXiv:2311.17982; DIS flow, no threshold",
        differs=(
            "not VBench's dynamic degree, which is a share of clips; this is the mean speed of "
            "the fastest pixels"
        ),
        sees="motion",
        bounds=(0.0, math.inf),
        below_real="the clips move less than the real ones, which favours every consistency score",
    ),
    per_clip_metric(
        "dynamic_share",
        "Share of dynamic clips",
        temporal.dynamic_share,
        better="real",
        citation="Huang et al. 2024, arXiv:2311.17982; DIS flow",
        differs=(
            "not VBench's dynamic degree: DIS flow on all frames of the protocol instead of RAFT "
            "on 8 frames per second"
        ),
        sees="motion",
        bounds=(0.0, 1.0),
        is_share=True,
    ),
    per_clip_metric(
        "acd",
        "ACD (colour)",
        temporal.average_content_distance,
        better="real",
        citation="Tulyakov et al. 2018, arXiv:1707.04993",
        bounds=(0.0, math.inf),
        version="2",
    ),
    per_clip_metric(
        "periodicity",
        "Periodicity",
        temporal.periodicity,
        better="real",
        citation="own definition",
        bounds=(0.0, 1.0),
        least_frames=4,
    ),
    per_clip_metric(
        "viideo",
        "VIIDEO",
        viideo,
        better="lower",
        citation="Mittal, Saad and Bovik 2016, IEEE TIP 25(1)",
        least_frames=4,
        least_size=19,
        companion="dynamic_degree",
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _TABLE}
"""Metrics by name, in the order in which they are listed."""
