"""The ids of the book follow from LiveKit's names, and have the forms of the service model."""

import re

import pytest

from stagebook.livekit_history.room_ids import participant_id_of, session_id_of_room, stage_arn_of_room
from stagebook.stage.arns import parse_arn
from stagebook.stage.room_stages import is_room_stage

SIDS = ["RM_abcABC012345", "RM_short", "", "RM_abcABC01234-", "x" * 300, "RM_abcABC0123456"]


@pytest.mark.parametrize("sid", SIDS)
def test_ids_have_the_forms_of_the_service_model(sid: str) -> None:
    assert re.fullmatch("st-[a-zA-Z0-9]{13}", session_id_of_room(sid))
    assert re.fullmatch("[a-zA-Z0-9]{12,13}", participant_id_of(sid))
    arn = stage_arn_of_room(sid, region="us-west-2", account_id="123456789012", generation=0)
    assert str(parse_arn(arn)) == arn
    assert is_room_stage(arn)


def test_the_characters_of_a_sid_stay_readable() -> None:
    assert session_id_of_room("RM_abcABC012345") == "st-LabcABC012345"
    assert participant_id_of("PA_abcABC012345") == "abcABC012345"


def test_each_name_has_ids_of_its_own() -> None:
    assert len({session_id_of_room(sid) for sid in SIDS}) == len(SIDS)
    assert len({participant_id_of(sid.replace("RM", "PA")) for sid in SIDS}) == len(SIDS)
    names = ["lobby", "Lobby", "1/lobby", ""]
    arns = {
        stage_arn_of_room(name, region="us-west-2", account_id="123456789012", generation=generation)
        for name in names
        for generation in (0, 1)
    }
    assert len(arns) == 2 * len(names)
    assert not is_room_stage("arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh")
