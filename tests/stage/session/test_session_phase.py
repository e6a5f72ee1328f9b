"""The phases of a session as a table. What moves a session is tested in test_draft.py and test_session_end.py."""

import pytest

from stagebook.stage.session.session_phase import SESSION_PHASES, SessionPhase, SessionTurn


def test_nothing_leads_out_of_ended() -> None:
    assert not [turn for (phase, turn) in SESSION_PHASES if phase is SessionPhase.ENDED]


def test_every_phase_can_be_reached_from_unopened() -> None:
    reached = {SessionPhase.UNOPENED}
    for _ in SessionPhase:
        reached |= {target for (phase, _), target in SESSION_PHASES.items() if phase in reached}

    assert reached == set(SessionPhase)


@pytest.mark.parametrize("phase", [SessionPhase.UNOPENED, SessionPhase.OPEN, SessionPhase.LINGERING])
def test_a_session_is_open_with_participants_and_lingers_without(phase: SessionPhase) -> None:
    assert SESSION_PHASES[phase, SessionTurn.FILLED] is SessionPhase.OPEN
    assert SESSION_PHASES[phase, SessionTurn.EMPTIED] is SessionPhase.LINGERING


@pytest.mark.parametrize("phase", [phase for phase in SessionPhase if phase is not SessionPhase.ENDED])
def test_every_session_can_be_closed(phase: SessionPhase) -> None:
    assert SESSION_PHASES[phase, SessionTurn.CLOSED] is SessionPhase.ENDED


def test_only_a_lingering_session_ends_by_its_linger() -> None:
    assert [phase for phase, turn in SESSION_PHASES if turn is SessionTurn.LINGER_OVER] == [SessionPhase.LINGERING]
