"""Programs and packages that only some tests need.

Without one of them a test is skipped and says why. Nobody would see that in CI, so there, where `.ci/run`
installs what is missing, the test fails.
"""

from __future__ import annotations

import importlib
import os
import shutil
from types import ModuleType
from typing import NoReturn

import pytest


def program(*names: str) -> str:
    """The first of these commands that this machine has."""
    return next(filter(shutil.which, names), None) or absent(f"this machine has no {names[0]}")


def package(name: str) -> ModuleType:
    """A module of a package that may not be installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        absent(f"this environment has no {name}")


def absent(reason: str) -> NoReturn:
    """End the running test: skipped, or failed in CI."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; in CI this test may not be skipped", pytrace=False)
    pytest.skip(reason)
