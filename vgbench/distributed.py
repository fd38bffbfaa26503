"""Several processes under `torchrun`: start, share, gather. With one process every call is the identity."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """Which process this is, among how many."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        return self.rank == 0


def launched_world() -> World:
    """The world that `torchrun` announced in the environment; (0, 1) without it. Imports no torch."""
    return World(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))


@contextmanager
def joined_world(timeout_minutes: float = 30.0) -> Iterator[World]:
    """Join the process group that `torchrun` announced, and leave it at the end.

    A rank that dies makes the others fail at their next collective after at most `timeout_minutes`.
    """
    world = launched_world()
    if world.size == 1:
        yield world
        return
    import torch
    import torch.distributed as dist

    if dist.is_initialized():
        yield world
        return
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    if backend == "nccl":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group(backend, timeout=dt.timedelta(minutes=timeout_minutes))
    try:
        yield world
    finally:
        dist.destroy_process_group()


def gather(value: T, world: World) -> list[T]:
    """Give every rank the list of all ranks' values, in rank order."""
    if world.size == 1:
        return [value]
    import torch.distributed as dist

    values: list[Any] = [None] * world.size
    dist.all_gather_object(values, value)
    return values
