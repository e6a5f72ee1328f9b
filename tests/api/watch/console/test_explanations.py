"""The console explains every event name, error code and cause of the book."""

import re
from pathlib import Path

import pytest

from stagebook.stage.composition.composition import CompositionState, DestinationState
from stagebook.stage.composition.composition_events import CompositionCause, CompositionErrorCode, CompositionEventName
from stagebook.stage.events import Cause, ErrorCode, EventName, RecordingErrorCode

MODULE = Path(__file__).parents[4] / "src/stagebook/api/watch/console/assets/explanations.js"


def table(name: str) -> list[str]:
    body = re.search(rf"export const {name} = \{{\n(.*?)^\}};", MODULE.read_text(), re.DOTALL | re.MULTILINE)
    assert body is not None
    return re.findall(r"^\t(\w+): ", body[1], re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "members"), [("EVENT_NAMES", EventName), ("ERROR_CODES", ErrorCode), ("CAUSES", Cause)]
)
def test_each_table_has_each_name(name: str, members: type[EventName] | type[ErrorCode] | type[Cause]) -> None:
    assert sorted(table(name)) == sorted(member.value for member in members)


def test_the_names_of_compositions_are_explained_too() -> None:
    assert sorted(table("COMPOSITION_EVENTS")) == sorted(CompositionEventName)
    assert sorted(table("RECORDING_ERRORS")) == sorted(RecordingErrorCode)
    assert sorted(table("COMPOSITION_ERRORS")) == sorted({*CompositionErrorCode} - {*RecordingErrorCode})
    assert sorted(table("COMPOSITION_CAUSES")) == sorted({*CompositionCause} - {*Cause})
    assert set(table("COMPOSITION_STATES")) == {*CompositionState, *DestinationState}
