"""What the tests may do to files as a user who may not do everything."""

import contextlib
import os

NOBODY = 65534


@contextlib.contextmanager
def without_rights():
    """Rights of the user that runs the tests, or of nobody where that is root."""
    if os.geteuid():
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
