"""One wording for places that cannot be written to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vgbench.errors import VgbenchError

REMEDY = "free space there, or choose another folder"


@contextmanager
def writing_to(place: str | Path, remedy: str = REMEDY) -> Iterator[None]:
    """Turn what the system refuses inside into an error that the user can mend.

    Args:
        place: the file or folder that is written, for the message.
        remedy: what the user can do.

    Raises:
        VgbenchError: an `OSError` was raised inside; names the place and the system's reason.
    """
    try:
        yield
    except OSError as error:
        raise VgbenchError(f"{place}: cannot be written to ({error.strerror or error})", remedy) from error
