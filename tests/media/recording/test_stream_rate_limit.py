"""How often a recording may begin another stream."""

from stagebook.media.recording.stream_rate_limit import MAX_STREAMS, STREAM_INTERVAL_SECONDS, StreamRateLimit


def test_some_streams_are_admitted_at_once_and_then_one_each_interval() -> None:
    now_ms = 1_000_000
    limit = StreamRateLimit(now_ms=lambda: now_ms)
    began = []
    for _ in range(600):
        if limit.admits:
            limit.count()
            began.append(now_ms)
        now_ms += 100
    assert began[:MAX_STREAMS] == [1_000_000 + 100 * number for number in range(MAX_STREAMS)]
    assert len(began) == MAX_STREAMS + 60 // STREAM_INTERVAL_SECONDS - 1


def test_a_wall_clock_that_is_set_back_admits_nothing_more() -> None:
    now_ms = 1_000_000
    limit = StreamRateLimit(now_ms=lambda: now_ms)
    for _ in range(MAX_STREAMS):
        limit.count()
    now_ms -= 500_000
    assert not limit.admits
    now_ms += STREAM_INTERVAL_SECONDS * 1_000
    assert limit.admits
