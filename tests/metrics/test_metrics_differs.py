from vgbench.metrics import METRICS
from vgbench.metrics.differs import differs, marked
from vgbench.metrics.paired import PAIRED


def test_scores_whose_published_namesake_is_another_number_say_so():
    """By the code that each metric names; the others are the published number, or have no namesake."""
    unlike = {
        *("jedi_mmd", "fvd_infinite", "is_infinite", "copied", "authenticity"),
        *("stream_t", "stream_f", "stream_d", "frame_consistency", "fvmd", "warping_error"),
        *("temporal_flicker", "motion_smoothness", "dynamic_degree", "dynamic_share", "tof", "tlp"),
    }
    names = {name for metric in METRICS.values() for name in metric.directions} | set(PAIRED)
    assert {name for name in names if differs(name)} == unlike
    assert (marked("fvmd"), marked("fvd")) == ("fvmd*", "fvd")
    assert "PIPs++" in differs("fvmd")


def test_a_metric_of_the_users_own_says_it_in_the_record():
    details = {"differs": {"mine": "not theirs", "fvd": "nonsense"}}
    assert differs("mine", details) == "not theirs"
    assert differs("fvd", details) == ""
    assert (
        differs("mine") == differs("mine", {"differs": 3}) == differs("mine", {"differs": {"mine": 3}}) == ""
    )
