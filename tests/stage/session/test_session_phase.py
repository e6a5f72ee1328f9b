"""The life of a session: it opens with the first who appears and ends after the last LEFT and a linger."""

import pytest

from stagebook.stage.session.session_phase import (
    PHASES,
    Phase,
    Session,
    Turn,
    attempted,
    end_ms,
    ended,
    present_changed,
)


def test_a_session_with_somebody_present_has_no_end() -> None:
    session = present_changed(Session(), present=1, at_ms=1_000)

    assert session.phase is Phase.OPEN
    assert end_ms(session, linger_ms=500) is None


def test_a_session_ends_a_linger_after_the_last_one_left() -> None:
    session = present_changed(Session(present=1), present=0, at_ms=2_000)

    assert session.phase is Phase.LINGERING
    assert end_ms(session, linger_ms=500) == 2_500
    assert ended(session).phase is Phase.ENDED


def test_who_joins_within_the_linger_keeps_the_session() -> None:
    lingering = present_changed(Session(present=1), present=0, at_ms=2_000)

    session = present_changed(lingering, present=1, at_ms=2_400)

    assert session.phase is Phase.OPEN
    assert end_ms(session, linger_ms=500) is None


def test_a_session_stays_open_for_who_is_awaited() -> None:
    session = present_changed(Session(present=1), present=0, awaited=1, at_ms=2_000)

    assert session.phase is Phase.OPEN
    assert end_ms(session, linger_ms=500) is None
    assert end_ms(present_changed(session, present=0, at_ms=9_000), linger_ms=500) == 9_500


def test_a_refused_attempt_opens_a_session_that_lingers_at_once() -> None:
    session = present_changed(Session(), present=0, at_ms=3_000)

    assert end_ms(session, linger_ms=0) == 3_000


def test_a_refused_attempt_during_the_linger_starts_the_linger_anew() -> None:
    lingering = present_changed(Session(present=1), present=0, at_ms=2_000)

    assert end_ms(attempted(lingering, at_ms=2_300), linger_ms=500) == 2_800


def test_a_refused_attempt_changes_nothing_while_somebody_is_present() -> None:
    session = present_changed(Session(), present=1, at_ms=1_000)

    assert attempted(session, at_ms=2_000) == session


def test_nothing_leads_out_of_the_end() -> None:
    assert not [turn for (phase, turn) in PHASES if phase is Phase.ENDED]
    with pytest.raises(KeyError):
        ended(Session())
    assert (Phase.LINGERING, Turn.LINGER_OVER) in PHASES
