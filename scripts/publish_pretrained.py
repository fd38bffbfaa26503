"""Make a pretrained generator of a finished run: its weights, and a card about them in the file's metadata.

    python scripts/publish_pretrained.py runs/layered-labels moving-shapes-labels results/RECORD.json

RECORD.json is the record that `vgbench eval` wrote about samples of this run. The card has the data, steps,
clips and seconds of the training, its config, and the signature, score and interval of the record's first
metric. The file must not be larger than 2 MB.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vgbench.pretrained import FOLDER
from vgbench.records.record import load_record
from vgbench.records.sample_card import run_config, training_seconds
from vgbench.reference_models.checkpoint import load_generator, read_metadata, save_generator

MOST_BYTES = 2_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("name")
    parser.add_argument("record", type=Path, help="JSON file of `vgbench eval`")
    parser.add_argument("--checkpoint", default="generator.safetensors", help="file inside the run folder")
    given = parser.parse_args()
    weights = given.run / given.checkpoint
    details = read_metadata(weights)[1]
    record = load_record(given.record)
    metric, score = next(iter(record.scores.items()))
    card = {
        **details,
        "seconds": training_seconds(given.run),
        "training": run_config(given.run),
        "score_of": metric,
        "score": f"{score.best_estimate:.1f}",
        "interval": [round(end, 2) for end in score.interval or ()],
        "signature": record.signature,
        "licence": "the weights have the licence of vgbench",
    }
    target = FOLDER / f"{given.name}.safetensors"
    save_generator(target, load_generator(weights), details=card)
    if target.stat().st_size > MOST_BYTES:
        size = target.stat().st_size
        target.unlink()
        sys.exit(f"{given.name}: {size} bytes, more than {MOST_BYTES}")
    sys.stdout.write(f"{target}: {target.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
