"""One error message for places that cannot be written to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vgbench.errors import VgbenchError

REMEDY = "free space there, or choose another folder"


@contextmanager
def writing_to(place: str | Path, remedy: str = REMEDY) -> Iterator[None]:
    """Turn an `OSError` in the `with` block into an error that tells the user what to do.

    Args:
        place: the file or folder that is written, for the message.
        remedy: what the user can do.

    Raises:
        VgbenchError: an `OSError` was raised inside; the message names the place and the system's reason.
    """
    try:
        yield
    except OSError as error:
        raise VgbenchError(f"{place}: cannot be written to ({error.strerror or error})", remedy) from error
