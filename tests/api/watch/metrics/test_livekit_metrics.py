"""The metrics of LiveKit."""

from stagebook.api.livekit_counts import LiveKitCounts
from stagebook.api.watch.metrics.livekit_metrics import LiveKitMetrics


def values_of(counts: LiveKitCounts | None) -> dict[tuple[str, str], float]:
    return {
        (sample.name.removeprefix("stagebook_livekit_"), sample.labels.get("result", "")): sample.value
        for family in LiveKitMetrics(lambda: counts)()
        for sample in family.samples
    }


def test_webhooks_and_polls_are_counted_by_result() -> None:
    counts = LiveKitCounts(
        accepted_webhooks=1,
        repeated_webhooks=2,
        refused_webhooks=3,
        answered_polls=4,
        failed_polls=5,
        answer_age_seconds=6.5,
        is_reachable=True,
    )
    assert values_of(counts) == {
        ("webhooks_total", "accepted"): 1,
        ("webhooks_total", "repeated"): 2,
        ("webhooks_total", "refused"): 3,
        ("polls_total", "answered"): 4,
        ("polls_total", "failed"): 5,
        ("answer_age_seconds", ""): 6.5,
        ("up", ""): 1,
    }


def test_a_livekit_that_fails_is_down() -> None:
    counts = LiveKitCounts(
        accepted_webhooks=0,
        repeated_webhooks=0,
        refused_webhooks=0,
        answered_polls=0,
        failed_polls=0,
        answer_age_seconds=None,
        is_reachable=False,
    )
    assert values_of(counts)["up", ""] == 0


def test_the_age_has_no_value_before_the_first_answer() -> None:
    counts = LiveKitCounts(
        accepted_webhooks=0,
        repeated_webhooks=0,
        refused_webhooks=0,
        answered_polls=0,
        failed_polls=1,
        answer_age_seconds=None,
    )
    assert not {("answer_age_seconds", ""), ("up", "")} & values_of(counts).keys()


def test_a_server_without_livekit_has_none() -> None:
    assert values_of(None) == {}
