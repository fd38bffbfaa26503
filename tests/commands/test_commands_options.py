"""The values of shared options, and the store that --store stands for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vgbench.commands import console, options
from vgbench.errors import ConfigError
from vgbench.metrics import METRICS


def test_a_value_range_is_two_numbers():
    assert options.value_range("-1,1") == (-1.0, 1.0)
    assert options.value_range("0, 255") == (0.0, 255.0)
    assert options.value_range(None) is None
    for wrong in ("0", "0,1,2", "low,high", ","):
        with pytest.raises(ConfigError, match=f"--value-range {wrong}: expected LOW,HIGH"):
            options.value_range(wrong)


def test_lists_are_separated_by_commas():
    assert options.names("html, md,csv") == ["html", "md", "csv"]
    assert options.names(None) == []
    assert options.numbers("--strengths", "0.5,1") == [0.5, 1.0]
    with pytest.raises(ConfigError, match=r"--strengths 0\.5;1: expected numbers separated by commas"):
        options.numbers("--strengths", "0.5;1")


def test_metrics_are_those_named_all_of_them_or_the_protocol_s_own():
    assert options.metric_names("fvd,prdc(k=3)") == ["fvd", "prdc(k=3)"]
    assert options.metric_names("all") == list(METRICS)
    assert options.metric_names(None) is None


def test_without_the_store_nothing_stays():
    with options.feature_store(use=False) as store:
        assert store.folder.is_dir()
        assert Path(os.environ["VGBENCH_CACHE"]) not in store.folder.parents
    assert not store.folder.exists()


def test_the_user_s_store_says_what_it_removed(monkeypatch, capsys):
    def use(quiet):
        monkeypatch.setattr(console, "verbosity", console.Verbosity(quiet=quiet))
        with options.feature_store(use=True) as store:
            assert store.folder == Path(os.environ["VGBENCH_CACHE"]) / "features"
            store.limit_bytes = 2**30
            store.pruned = (3, 5 * 2**20)
        return capsys.readouterr()

    printed = use(quiet=False)
    assert printed.out == ""
    assert printed.err.strip() == (
        "feature store: removed the 3 least recently used files, 5.0 MiB, to stay within 1 GiB "
        "(VGBENCH_STORE_GIGABYTES)"
    )
    assert use(quiet=True).err == ""


def test_tables_of_an_older_store_are_mentioned_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VGBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(console.verbosity, "quiet", False)
    with options.feature_store(True) as store:
        store.table("net@1")
    assert "older" not in capsys.readouterr().err
    table = tmp_path / "features" / "0" / "producer.txt"
    table.parent.mkdir()
    table.write_text("net@1\n")
    with options.feature_store(True):
        pass
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "older version" in line]
    assert line.startswith("feature store: 1 tables of an older version are left alone")
