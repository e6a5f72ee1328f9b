"""What a client of the live tail sends: where an event stream begins, and which events it has."""

from stagebook.api.routes.api_input import read_query
from stagebook.api.routes.api_problems import ApiRefusedError
from stagebook.api.watch.event_parameters import event_filter
from stagebook.api.watch.live_tail.resume_position import StreamParameters, given_event_id, resumed_sequence
from stagebook.book.event_id import event_id, position_id, sequence_of_event
from tests.fuzz.fuzz_target import FuzzTarget

_ACCOUNT = "123456789012"
_NEWEST = 1_700_000_000_000 << 20


def check_event_stream(data: bytes) -> None:
    """Parse the header field Last-Event-ID, which is the first line, and the query, which is the rest."""
    header, _, query = data.partition(b"\n")
    try:
        parameters = read_query(StreamParameters, query)
        where = event_filter(parameters, account_id=_ACCOUNT, region="us-west-2")
        text = given_event_id(header or None, parameters)
        sequence = None if text is None else resumed_sequence(text, last_sequence=_NEWEST)
    except ApiRefusedError as error:
        assert error.status == 400
        assert error.detail
        return
    assert where.account_id == _ACCOUNT
    if sequence is not None:
        # A position of the book, which fits in a column of SQLite, and whose own id is accepted again.
        assert 0 <= sequence <= _NEWEST
        assert sequence_of_event(position_id(sequence)) == sequence


TARGETS = (
    FuzzTarget(
        name="event-stream",
        check=check_event_stream,
        max_size_bytes=9_000,
        seeds=(
            event_id(_NEWEST, session_id="st-1", participant_id="p").encode(),
            b"\nlastEventId=" + position_id(1 << 20).encode(),
            b"\nlast_event_id=" + position_id(_NEWEST + 1).encode(),
            b"\nstage=arn%3Aaws&session=st-1&participant=p&user=ann&name=JOINED&name=LEFT&error=any&cause=limit",
            b"\nsince=2023-11-14T22:13:20.123Z",
            b"\nsince=1700000000.5&error=QUOTA_EXCEEDED",
        ),
    ),
)
