"""PublishState from `connect` to the answer to `publish`: commands, responses and errors."""

from collections.abc import Callable

import pytest

from stagebook.media.rtmp.amf0 import UNDEFINED, Amf0Value, write_values
from stagebook.media.rtmp.rtmp_error import RtmpError
from stagebook.media.rtmp.rtmp_events import PublishReceived
from stagebook.media.rtmp.rtmp_limits import RtmpLimits
from tests.media.rtmp.client_session import ClientSession, connected, publishing, requested

VIDEO, COMMAND_AMF3 = 9, 17


def test_connect_is_answered_by_window_bandwidth_chunk_size_and_result() -> None:
    """RTMP 1.0 section 7.2.1.1. Control messages are on chunk stream 2 (section 5.4), commands on 3."""
    answer = connected().server.data_to_send()
    window = bytes.fromhex("02 000000 000004 05 00000000 002625a0")
    bandwidth = bytes.fromhex("02 000000 000005 06 00000000 002625a0 02")
    chunk_size = bytes.fromhex("02 000000 000004 01 00000000 00001000")
    assert answer.startswith(window + bandwidth + chunk_size + b"\x03")
    (result,) = connected().received_commands()
    assert (result.name, result.transaction_id) == ("_result", 1)


def test_a_long_answer_is_in_chunks_of_the_announced_size() -> None:
    session = requested()
    session.server.refuse_publish("x" * 5000)
    assert session.received_status()["description"] == "x" * 5000


@pytest.mark.parametrize("app", ["app", "app/", "/app/", "app?token=1", "app/?token=1"])
def test_slashes_and_the_query_are_removed_from_the_application_name(app: str) -> None:
    session = connected(app=app)
    session.send_command("createStream", None, transaction_id=2)
    assert session.send_command("publish", None, "key", "live", stream_id=1) == [
        PublishReceived(app="app", stream_key="key")
    ]


def test_commands_may_be_of_type_amf3() -> None:
    session = ClientSession()
    session.send_message(COMMAND_AMF3, b"\0" + write_values("connect", 1, {"app": "app"}))
    assert [command.name for command in session.received_commands()] == ["_result"]


@pytest.mark.parametrize("arguments", [(), (None,), ({},), ({"app": None},), ({"app": 1},), (["app"],)])
def test_connect_without_an_application_name_is_an_error(arguments: tuple[Amf0Value, ...]) -> None:
    with pytest.raises(RtmpError, match="connect"):
        ClientSession().send_command("connect", *arguments, transaction_id=1)


def test_the_application_name_and_the_stream_key_are_limited() -> None:
    limits = RtmpLimits(max_name_bytes=4)
    with pytest.raises(RtmpError, match="`app` of `connect` has more than 4 bytes"):
        connected(limits, app="a" * 5)
    session = connected(limits)
    session.send_command("createStream", None, transaction_id=2)
    with pytest.raises(RtmpError, match="publishing name of `publish` has more than 4 bytes"):
        session.send_command("publish", None, "a" * 5, stream_id=1)


@pytest.mark.parametrize("name", ["createStream", "publish", "FCUnpublish", "closeStream", "play", "whatever"])
def test_connect_must_be_the_first_command(name: str) -> None:
    with pytest.raises(RtmpError, match="`connect` must be the first command"):
        ClientSession().send_command(name, None, transaction_id=1)


def test_connect_must_not_be_repeated() -> None:
    with pytest.raises(RtmpError, match="must not be repeated"):
        connected().send_command("connect", {"app": "app"}, transaction_id=2)


def test_message_streams_are_numbered_from_1() -> None:
    session = connected()
    session.received()
    session.send_command("createStream", None, transaction_id=4)
    session.send_command("createStream", None, transaction_id=5)
    responses = [
        (response.name, response.transaction_id, *response.arguments) for response in session.received_commands()
    ]
    assert responses == [("_result", 4, None, 1), ("_result", 5, None, 2)]


@pytest.mark.parametrize("name", ["releaseStream", "getStreamLength", "_checkbw"])
def test_a_command_without_a_result_is_answered_if_it_has_a_transaction_id(name: str) -> None:
    session = connected()
    session.received()
    assert session.send_command(name, None, "key", transaction_id=2) == []
    assert [(answer.name, answer.transaction_id, *answer.arguments) for answer in session.received_commands()] == [
        ("_result", 2, None, UNDEFINED)
    ]
    session.send_command(name, None, "key")
    assert session.received() == []


def test_an_unknown_command_is_an_error_response_if_it_has_a_transaction_id() -> None:
    session = connected()
    session.received()
    assert session.send_command("whatever", None, transaction_id=9) == []
    (refusal,) = session.received_commands()
    assert (refusal.name, refusal.transaction_id) == ("_error", 9)
    assert refusal.arguments[1] == {
        "level": "error",
        "code": "NetConnection.Call.Failed",
        "description": "This command is not supported.",
    }
    session.send_command("whatever", None)
    assert session.received() == []


@pytest.mark.parametrize("name", ["_result", "_error", "onStatus"])
def test_a_response_is_not_answered(name: str) -> None:
    session = connected()
    session.received()
    assert session.send_command(name, None, transaction_id=9) == []
    assert session.received() == []


@pytest.mark.parametrize("name", ["play", "play2"])
def test_play_is_refused(name: str) -> None:
    session = connected()
    session.send_command("createStream", None, transaction_id=2)
    session.received()
    session.send_command(name, None, "key", stream_id=1)
    assert session.received_status()["code"] == "NetStream.Play.Failed"


def test_publish_is_reported_with_the_stream_key_without_its_query() -> None:
    session = connected()
    session.send_command("createStream", None, transaction_id=2)
    session.received()
    assert session.send_command("publish", None, "a/key?x=1?y", "live", stream_id=1, transaction_id=3) == [
        PublishReceived(app="app/a", stream_key="key")
    ]
    assert session.received() == []


def test_the_stream_key_is_not_in_the_repr_of_the_event() -> None:
    assert "secret" not in repr(PublishReceived(app="app", stream_key="secret"))


@pytest.mark.parametrize("arguments", [(), (None,), (None, 5), (None, None)])
def test_publish_without_a_stream_key_is_an_error(arguments: tuple[Amf0Value, ...]) -> None:
    session = connected()
    session.send_command("createStream", None, transaction_id=2)
    with pytest.raises(RtmpError, match="the publishing name of `publish` is not a string"):
        session.send_command("publish", *arguments, stream_id=1)


@pytest.mark.parametrize("stream_id", [0, 2])
def test_publish_needs_a_created_message_stream(stream_id: int) -> None:
    session = connected()
    session.send_command("createStream", None, transaction_id=2)
    with pytest.raises(RtmpError, match=f"message stream {stream_id}, which `createStream` did not create"):
        session.send_command("publish", None, "key", "live", stream_id=stream_id)


def test_publish_on_a_deleted_message_stream_is_an_error() -> None:
    session = connected()
    session.send_command("createStream", None, transaction_id=2)
    assert session.send_command("deleteStream", None, 1.0) == []
    with pytest.raises(RtmpError, match="`createStream` did not create"):
        session.send_command("publish", None, "key", "live", stream_id=1)


@pytest.mark.parametrize("state", [requested, publishing])
def test_a_second_publish_is_an_error(state: Callable[[], ClientSession]) -> None:
    session = state()
    session.send_command("createStream", None, transaction_id=5)
    with pytest.raises(RtmpError, match="a second `publish`"):
        session.send_command("publish", None, "another", "live", stream_id=2)


def test_acceptance_sends_stream_begin_and_publish_start() -> None:
    session = requested()
    session.server.accept_publish()
    begin, status = session.received()
    assert (begin.type_id, begin.payload.hex()) == (4, "000000000001")
    assert status.stream_id == 1
    session = requested()
    session.server.accept_publish()
    assert session.received_status() == {
        "level": "status",
        "code": "NetStream.Publish.Start",
        "description": "Publishing.",
    }


@pytest.mark.parametrize(("transaction_id", "names"), [(2, ["_result", "onFCPublish"]), (0, ["onFCPublish"])])
def test_fcpublish_is_answered_before_publish(transaction_id: int, names: list[str]) -> None:
    """Haivision's Makito waits for `onFCPublish` before it sends `publish`."""
    session = connected()
    session.received()
    assert session.send_command("FCPublish", None, "key", transaction_id=transaction_id) == []
    answers = session.received_commands()
    assert [(answer.name, answer.stream_id) for answer in answers] == [(name, 0) for name in names]
    assert answers[-1].arguments == [
        None,
        {"code": "NetStream.Publish.Start", "description": "FCPublish received."},
    ]


def test_acceptance_does_not_repeat_the_answer_to_fcpublish() -> None:
    session = connected()
    session.send_command("FCPublish", None, "key", transaction_id=2)
    session.send_command("createStream", None, transaction_id=3)
    session.send_command("publish", None, "key", "live", stream_id=1)
    session.received()
    session.server.accept_publish()
    assert [(command.name, command.stream_id) for command in session.received_commands()] == [("onStatus", 1)]


def test_refusal_sends_the_reason_and_later_messages_are_ignored() -> None:
    session = requested()
    session.server.refuse_publish("The stream key is not known.")
    assert session.received_status() == {
        "level": "error",
        "code": "NetStream.Publish.Denied",
        "description": "The stream key is not known.",
    }
    assert session.send_message(VIDEO, b"x", stream_id=1) == []
    assert session.send_command("publish", None, "another", "live", stream_id=1) == []
    assert session.received() == []


@pytest.mark.parametrize("state", [ClientSession, connected, publishing])
def test_only_a_pending_request_is_accepted_or_refused(state: Callable[[], ClientSession]) -> None:
    session = state()
    session.received()
    with pytest.raises(RtmpError, match="no publish request is pending"):
        session.server.accept_publish()
    with pytest.raises(RtmpError, match="no publish request is pending"):
        session.server.refuse_publish("no")
    assert session.received() == []


def test_the_number_of_commands_is_limited() -> None:
    session = connected(RtmpLimits(max_commands=3))
    session.send_command("createStream", None, transaction_id=2)
    session.send_command("createStream", None, transaction_id=3)
    with pytest.raises(RtmpError, match="more than 3 commands"):
        session.send_command("createStream", None, transaction_id=4)
