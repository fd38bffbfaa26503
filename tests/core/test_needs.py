from __future__ import annotations

import sys

import needs
import pytest


@pytest.mark.parametrize(("find", "name"), [(needs.program, "no-such-program"), (needs.package, "no.such")])
@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_what_is_missing_skips_a_test_and_fails_it_in_ci(find, name, ci, outcome, monkeypatch):
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match=f"has no {name}"):
        find(name)


def test_what_is_there_is_found():
    assert needs.program("no-such-program", sys.executable) == sys.executable
    assert needs.package("os.path").sep
