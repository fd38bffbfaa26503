"""Bytes from strangers: what fuzzing found stays mended, and chance finds nothing new."""

from __future__ import annotations

import random

import pytest
from fuzz_readers import FOUND, TARGETS, survive

FINDINGS = sorted(path for path in FOUND.glob("*/*.bin"))
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # numpy and Pillow on damaged headers


@pytest.mark.parametrize("path", FINDINGS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_fuzzing_found_stays_mended(path):
    survive(path.read_bytes(), path.parent.name)


BY_HAND = {
    "config": [
        b"a: 2001-99-99",
        b"a: !!timestamp x",
        b"a: " + b"9" * 5000,
        b"[" * 600,
        b"a: &a [1, *a]",
        b"!!python/object/apply:os.system [exit 1]",
    ],
    "manifest": [b"path\n" + b"x" * 200_000, b'path\n"a', b'{"path": ' + b"[" * 100_000],
    "record": [b'{"schema": 1, "model": ' + b"9" * 5000 + b"}"],
}


@pytest.mark.parametrize("target", BY_HAND)
def test_what_loaders_stumble_over(target):
    for data in BY_HAND[target]:
        survive(data, target)


def test_a_few_lines_of_aliases_that_stand_for_billions_of_values_are_refused():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]" for k in range(1, 12)]
    survive("\n".join(lines).encode(), "config")


@pytest.mark.parametrize("target", TARGETS)
def test_chance(target):
    _mutate(target, 40)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_much_chance(target):
    _mutate(target, 5000)


def _mutate(target: str, times: int) -> None:
    chance = random.Random(target)
    seeds = TARGETS[target][0]()
    for _ in range(times):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.choice([1, 2, 8, 40])):
            place = chance.randrange(len(data) + 1)
            data[place : place + chance.choice([0, 1, 1, 1, 9])] = chance.choice(
                [b"", bytes([chance.randrange(256)]), b"\xff\xff\xff\x7f", b"0", chance.choice(seeds)[:20]]
            )
        survive(bytes(data), target)
