"""Many hands on one feature store: four evaluations while the store is emptied under them."""

from __future__ import annotations

from chaos.kills import JOBS, start

from vgbench.evaluation.feature_store import FeatureStore
from vgbench.records.record import find_records, load_record


def test_four_evaluations_and_a_prune(chaos, tmp_path):
    calm, _, _ = chaos.calm("eval")
    (expected,) = [load_record(path).scores for path in find_records([calm / "results"])]
    shared = tmp_path / "shared"
    shared.mkdir()
    processes = []
    for number in range(4):
        arguments = JOBS["eval"].arguments(shared)
        arguments[arguments.index("--results") + 1] = str(shared / f"results-{number}")
        processes.append(start(arguments, shared))
    pruned = 0
    while any(process.exitcode is None for process in processes):
        pruned += FeatureStore(shared / "cache" / "features").prune(0)[0]
        processes[0].join(0.01)
    assert [process.exitcode for process in processes] == [0] * 4, (shared / "stderr").read_text()
    assert pruned > 0
    for number in range(4):
        (path,) = find_records([shared / f"results-{number}"])
        assert load_record(path).scores == expected
