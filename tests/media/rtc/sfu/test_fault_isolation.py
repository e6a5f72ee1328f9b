"""An exception in the timer of one source or connection does not stop the others."""

from unittest.mock import Mock

from structlog.testing import capture_logs

from stagebook.media.port import CloseCause, Closed, SourceMeasured
from stagebook.media.rtc.sfu.fault_isolation import FaultIsolation
from tests.media.rtc.running_engine import running_engine, wait_until


def test_a_call_that_raises_is_logged_a_limited_number_of_times() -> None:
    isolation = FaultIsolation(clock=lambda: 0.0)
    with capture_logs() as logs:
        assert isolation.call("works", len, "x")
        results = [isolation.call("fails", divmod, 1, 0) for _ in range(30)]
    assert results == [False] * 30
    assert [entry["timer"] for entry in logs] == ["fails"] * 10


async def test_the_timers_of_other_sources_and_connections_go_on() -> None:
    # To render the tracebacks, with all variables, takes longer than the test.
    with capture_logs() as logs:
        await _let_timers_raise()
    assert {entry["timer"] for entry in logs} >= {"source", "source reports", "source measurement", "connection"}


async def _let_timers_raise() -> None:
    async with running_engine() as engine:
        failing, _ = await engine.publisher("failing"), await engine.publisher("p")
        other = engine.raw_peer()
        answer = engine.forwarder.publish(connection_id="q", source_id="other", offer=other.offer("sendonly"))
        await other.connect(answer.sdp, engine.forwarder.udp_port)
        source = engine.forwarder._sources["source"]
        raising = Mock(side_effect=ZeroDivisionError)
        source.handle_timers = source.each_second = source.measure = raising  # type: ignore[method-assign]
        first = engine.forwarder._connections.get("p")
        assert first is not None
        first.peer.expire_consent = raising  # type: ignore[method-assign]
        engine.facts.clear()
        await wait_until(
            lambda: any(isinstance(fact, SourceMeasured) and fact.source_id == "other" for fact in engine.facts),
            "a measurement of the other source",
        )
        await wait_until(lambda: raising.call_count >= 3, "the calls that raise")
        engine.skipped_seconds += 16
        await engine.wait_for(Closed(connection_id="q", cause=CloseCause.CONSENT_LOST))
        await engine.wait_for(Closed(connection_id="p", cause=CloseCause.CONSENT_LOST))
        failing.close()
