"""Images, animations and arrays of odd kinds, from the table that `benchmarks/odd_files.py` prints.

The videos of that table need the ffmpeg program, so they are compared there only.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from vgbench.clips import open_source

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import odd_files
import odd_files_images

CASES = {case.name: case for case in odd_files_images.cases()}
EXACT = [name for name in CASES if odd_files.reason_of(name) is None]


def test_the_table_is_as_large_as_the_docs_say():
    assert len(CASES) >= 250
    assert len(CASES) - len(EXACT) <= 12


@pytest.mark.parametrize("name", EXACT[::4])
def test_odd_files_are_read_bit_for_bit(name, tmp_path):
    case = CASES[name]
    path = tmp_path / f"a{case.suffix}"
    case.write(path)
    (clip,) = open_source(str(path), **case.options).clips
    count = clip.count_frames()
    np.testing.assert_array_equal(clip.read(range(count)), case.expected(path))
    np.testing.assert_array_equal(clip.read([count - 1])[0], clip.read(range(count))[-1])


def test_a_transparent_level_of_16_bits_is_black(tmp_path):
    case = CASES["PNG transparent colour grey 16 bit"]
    case.write(tmp_path / "a")
    (clip,) = open_source(str(tmp_path / "a")).clips
    frames = clip.read(range(clip.count_frames()))
    np.testing.assert_array_equal(frames, case.expected(tmp_path / "a"))
    assert (frames[:, 3, 4] == 0).all()
