from __future__ import annotations

import pytest
from chaos.kills import Chaos


@pytest.fixture(scope="session")
def chaos(tmp_path_factory):
    """One server and one calm run of each job for all tests here."""
    return Chaos(tmp_path_factory.mktemp("chaos"))
