"""The metrics of webhooks, from the backlogs that the delivery process reports."""

from stagebook.api.watch.metrics.webhook_metrics import WebhookMetrics
from stagebook.book.changes import SEQUENCE_TIME_SHIFT
from stagebook.webhooks.delivery_records import Backlog


def test_each_destination_has_its_backlog_and_the_age_of_its_oldest_event() -> None:
    behind = Backlog(
        destination_id="wh_a",
        pending=7,
        oldest_sequence=(100_000 << SEQUENCE_TIME_SHIFT) + 5,
        blocked_sessions=2,
        delivered=40,
        failed_attempts=3,
        dead=1,
    )
    idle = Backlog(destination_id="settings-b", delivered=9)
    backlogs = {each.destination_id: each for each in (behind, idle)}
    metrics = WebhookMetrics(lambda: backlogs, now_ms=lambda: 130_500)
    values = {
        (sample.name.removeprefix("stagebook_webhook_"), sample.labels["destination"]): sample.value
        for family in metrics()
        for sample in family.samples
    }
    assert values == {
        ("backlog_events", "wh_a"): 7,
        ("backlog_age_seconds", "wh_a"): 30.5,
        ("blocked_sessions", "wh_a"): 2,
        ("delivered_events_total", "wh_a"): 40,
        ("failed_attempts_total", "wh_a"): 3,
        ("dead_letters_total", "wh_a"): 1,
        ("backlog_events", "settings-b"): 0,
        ("backlog_age_seconds", "settings-b"): 0,
        ("blocked_sessions", "settings-b"): 0,
        ("delivered_events_total", "settings-b"): 9,
        ("failed_attempts_total", "settings-b"): 0,
        ("dead_letters_total", "settings-b"): 0,
    }
