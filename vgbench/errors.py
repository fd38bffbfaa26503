"""Errors that a user can correct, and the exit code with which each of them ends a command.

A low layer states the fact (`BadClip("a.mp4", "ends in the middle of a frame")`), a higher layer adds what
the user named, and `vgbench.cli` prints what is wrong, where, and the remedy.
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_INTERNAL = 1
EXIT_BAD_INPUT = 2
EXIT_SKIPPED_UNDER_STRICT = 3
EXIT_INTERRUPTED = 130


class VgbenchError(Exception):
    """Bad input or usage. `message` names the file or flag; `remedy` says what to do about it."""

    exit_code = EXIT_BAD_INPUT

    def __init__(self, message: str, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[VgbenchError], tuple[str, str | None]]:
        # Decoding workers send errors to other processes; the default method would lose the remedy.
        return type(self), (self.message, self.remedy)


class ConfigError(VgbenchError):
    """A config, preset or protocol has an unknown key or a value that is not allowed."""


class NotEnoughClips(VgbenchError):
    """A folder holds fewer usable clips than the protocol needs."""


class SkippedClips(VgbenchError):
    """Raised under `--strict` when at least one clip had to be skipped."""

    exit_code = EXIT_SKIPPED_UNDER_STRICT


class BadClip(Exception):
    """One clip cannot be used. This does not end a run: the clip is skipped, counted and named.

    Args:
        path: what the user would look for on disk.
        reason: a short phrase, lower case, without a full stop.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type[BadClip], tuple[str, str]]:
        return type(self), (self.path, self.reason)
