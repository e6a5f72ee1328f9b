"""The metrics of retention say what its status says."""

from stagebook.api.watch.metrics.retention_metrics import RetentionMetrics
from stagebook.manager.retention import RetentionStatus


def samples(status: RetentionStatus) -> dict[tuple[str, str], float]:
    """Return the values by the name of the sample and the table."""
    families = RetentionMetrics(lambda: status)()
    return {(sample.name, sample.labels.get("table", "")): sample.value for each in families for sample in each.samples}


def test_before_the_first_run_only_the_counter_of_bytes_has_a_value() -> None:
    assert samples(RetentionStatus()) == {("stagebook_retention_freed_bytes_total", ""): 0}


def test_what_was_deleted_is_counted_by_table_and_times_are_in_seconds() -> None:
    status = RetentionStatus(
        deleted_rows={"event": 7, "session": 1},
        freed_bytes=4_096,
        last_run_ms=1_700_000_000_500,
        oldest_event_ms=1_600_000_000_000,
    )
    assert samples(status) == {
        ("stagebook_retention_deleted_rows_total", "event"): 7,
        ("stagebook_retention_deleted_rows_total", "session"): 1,
        ("stagebook_retention_freed_bytes_total", ""): 4_096,
        ("stagebook_retention_last_run_timestamp_seconds", ""): 1_700_000_000.5,
        ("stagebook_retention_oldest_event_timestamp_seconds", ""): 1_600_000_000,
    }
