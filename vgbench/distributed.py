"""Several processes under `torchrun`: join, share and gather. With one process, nothing is exchanged."""

from __future__ import annotations

import datetime as dt
import itertools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from vgbench.environment import positive_number
from vgbench.errors import ConfigError, VgbenchError

T = TypeVar("T")
LAUNCH = "start the ranks with torchrun, which sets it; without torchrun, unset RANK and WORLD_SIZE"


@dataclass(frozen=True)
class World:
    """The number of this process and of all processes."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        return self.rank == 0


def launched_world() -> World:
    """The world that `torchrun` describes in the environment; rank 0 of 1 without it. Imports no torch.

    Raises:
        ConfigError: the variables are not whole numbers, or the rank is not below the size of the world.
    """
    world = World(_whole_number("RANK", "0"), _whole_number("WORLD_SIZE", "1"))
    if not world.rank < world.size:
        raise ConfigError(f"RANK = {world.rank}: not below WORLD_SIZE = {world.size}", LAUNCH)
    return world


def _whole_number(name: str, default: str) -> int:
    text = os.environ.get(name, default)
    if not (text.isascii() and text.isdecimal()):
        raise ConfigError(f"{name} = {text!r}: must be a whole number", LAUNCH)
    return int(text)


TIMEOUT = "VGBENCH_TIMEOUT_MINUTES"


def timeout_minutes() -> float:
    """Minutes that a rank waits for the others: 30, or `VGBENCH_TIMEOUT_MINUTES`.

    Raises:
        ConfigError: the variable is not a positive number.
    """
    return positive_number(TIMEOUT, 30, "a positive number of minutes")


@contextmanager
def joined_world() -> Iterator[World]:
    """Join the process group that `torchrun` describes, and leave it at the end.

    Raises:
        ConfigError: a variable that `torchrun` sets is missing or has an impossible value.
        VgbenchError: another rank is missing, died, or did not answer within `timeout_minutes`.
    """
    world = World() if _is_alone.get() else launched_world()
    if world.size == 1:
        yield world
        return
    import torch
    import torch.distributed as dist

    if dist.is_initialized():
        yield world
        return
    from torch.distributed.distributed_c10d import PrefixStore

    minutes = timeout_minutes()
    local_rank = _whole_number("LOCAL_RANK", "0")
    try:
        if torch.cuda.is_available():
            torch.cuda.set_device(local_rank)
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        wait = dt.timedelta(minutes=minutes)
        store, rank, size = _meeting_place(wait)
        # A second group would otherwise read the addresses of the first.
        own = PrefixStore(f"vgbench-{next(_joined)}", store)
        dist.init_process_group(backend, store=own, rank=rank, world_size=size, timeout=wait)
    except (RuntimeError, ValueError) as error:  # a missing rank, or a wrong address
        raise VgbenchError(
            f"rank {world.rank} of {world.size}: cannot join the others ({str(error).splitlines()[0]})",
            f"start all ranks with torchrun; {TIMEOUT} = {minutes:g} sets how long they wait for each other",
        ) from error
    try:
        yield world
    except RuntimeError as error:  # gloo and NCCL raise it too; only the text tells these errors from others
        if not re.search("timed? ?out|connection (closed|reset)|peer", str(error), re.IGNORECASE):
            raise
        raise VgbenchError(
            f"rank {world.rank} of {world.size}: another rank died, or did not answer for "
            f"{minutes:g} minutes ({str(error).splitlines()[0]})",
            "see the messages of the other ranks, then run the same command again to continue; "
            f"{TIMEOUT} sets the limit",
        ) from error
    finally:
        dist.destroy_process_group()


def _meeting_place(wait: dt.timedelta) -> tuple[Any, int, int]:
    """The store through which the ranks find each other, the rank, and the size of the world.

    It is kept until the process ends. Where rank 0 serves it, a store for each group would be a server for
    each: a rank that is early for the second group would meet the server of the first, and wait for what
    nobody writes there.
    """
    from torch.distributed.rendezvous import rendezvous

    where = tuple(os.environ.get(name) for name in ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE"))
    if where not in _meeting_places:
        _meeting_places[where] = next(rendezvous("env://", timeout=wait))
    _meeting_places[where][0].set_timeout(wait)
    return _meeting_places[where]


_meeting_places: dict[tuple[str | None, ...], tuple[Any, int, int]] = {}
_joined = itertools.count()
_is_alone: ContextVar[bool] = ContextVar("_is_alone", default=False)


@contextmanager
def alone() -> Iterator[None]:
    """Make `joined_world` a world of one process inside, for work of one rank while the others wait."""
    token = _is_alone.set(True)
    try:
        yield
    finally:
        _is_alone.reset(token)


def from_main(value: T, world: World) -> T:
    """Give every rank the value of rank 0."""
    if world.size == 1:
        return value
    import torch.distributed as dist

    values: list[Any] = [value]
    dist.broadcast_object_list(values, src=0)
    shared: T = values[0]
    return shared


def gather(value: T, world: World) -> list[T]:
    """Give every rank the list of all ranks' values, in rank order."""
    if world.size == 1:
        return [value]
    import torch.distributed as dist

    values: list[Any] = [None] * world.size
    dist.all_gather_object(values, value)
    return values
