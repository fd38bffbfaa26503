"""Labels in a `dataset.json`, which StyleGAN's tools write beside the images of a data set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from vgbench.clips.files import StoredFile
from vgbench.errors import BadClip

NAME = "dataset.json"
MAX_BYTES = 2**27
"""Longest file that is read (128 MiB): a million frames and their labels."""


def read_dataset_labels(file: StoredFile) -> dict[str, str]:
    """Return the labels of a `dataset.json`: path of a file or folder below it -> label.

    Labels are numbers, text, or vectors with a single 1, whose place is the label. Other vectors are not
    labels of classes.

    Raises:
        BadClip: the file is too long, or not such a file.
    """
    if file.size > MAX_BYTES:
        raise BadClip(file.name, f"more than {MAX_BYTES} bytes of labels")
    try:
        with file.open() as stream:
            document = json.loads(stream.read())
        given = document.get("labels")
        pairs = given.items() if isinstance(given, Mapping) else given or ()
        found = {str(path): _label(label) for path, label in pairs}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise BadClip(file.name, f"its labels cannot be read: {error}") from error
    return {path.replace("\\", "/"): label for path, label in found.items() if label is not None}


def label_of(path: str, labels: Mapping[str, str]) -> str | None:
    """Label of a file, or that of the nearest folder with one that holds it."""
    while path:
        if path in labels:
            return labels[path]
        path = path.rpartition("/")[0]
    return None


def _label(value: Any) -> str | None:
    if isinstance(value, list):
        ones = [place for place, one in enumerate(value) if one == 1]
        return str(ones[0]) if len(ones) == 1 and len(value) - value.count(0) == 1 else None
    return None if value is None or isinstance(value, Mapping) else str(value)
