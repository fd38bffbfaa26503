"""One pair of sets under the FVD protocols of eight code bases, side by side.

Needs I3D (`vgbench weights fetch i3d-k400`) and two sources of clips, such as two manifests:

    python benchmarks/eight_protocols.py GENERATED REAL [--clips 72]

Each protocol stays as published but for the number of clips. Features are stored, so a second run is quick.
"""

from __future__ import annotations

import argparse

import vgbench
from vgbench.protocol import load

CODE_BASES = {
    "google-research/frechet_video_distance": "fvd-unterthiner2018",
    "universome/stylegan-v": "fvd-stylegan-v-16f",
    "universome/fvd-comparison": "fvd-comparison",
    "JunyaoHu/common_metrics": "fvd-common-metrics",
    "songweige/content-debiased-fvd": "fvd-cdfvd",
    "songweige/TATS": "fvd-tats",
    "sihyun-yu/digan, VideoGPT": "fvd-digan",
    "hao-ai-lab/FastVideo": "fvd-fastvideo",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("generated")
    parser.add_argument("real")
    parser.add_argument("--clips", type=int, default=72, help="most clips per side")
    arguments = parser.parse_args()
    settings = [f"clips.{key}={n}" for key, n in (("generated", arguments.clips), ("real", arguments.clips))]
    print("| code base | protocol | FVD | corrected | 95 % interval | clips |")
    print("| --- | --- | ---: | ---: | --- | --- |")
    for code_base, protocol in CODE_BASES.items():
        record = vgbench.evaluate(
            arguments.generated,
            arguments.real,
            protocol,
            metrics=[metric for metric in load(protocol).metrics if metric.startswith("fvd")],
            settings=[*settings, "clips.least=2"],
            batch_size=4,
        )
        score = record.scores["fvd"]
        interval = "–" if score.interval is None else f"[{score.interval[0]:.1f}, {score.interval[1]:.1f}]"
        print(
            f"| {code_base} | `{protocol}` | {score.value:.3f} | {score.best_estimate:.1f} | {interval} "
            f"| {record.clips.generated.used} + {record.clips.real.used} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
