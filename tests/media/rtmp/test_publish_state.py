"""One publish from `connect` to its answer: what encoders say and are answered, and what they must not say."""

from collections.abc import Callable

import pytest

from stagebook.media.rtmp.amf0 import UNDEFINED, Amf0Value, write_values
from stagebook.media.rtmp.rtmp_events import (
    PublishAsked,
)
from stagebook.media.rtmp.rtmp_limits import RtmpError, RtmpLimits
from tests.media.rtmp.session import Session, asked, connected, publishing

VIDEO, COMMAND_AMF3 = 9, 17


def test_connect_is_answered_by_window_bandwidth_chunk_size_and_result() -> None:
    """RTMP 1.0 section 7.2.1.1. Control messages are on chunk stream 2 (section 5.4), commands on 3."""
    answer = connected().server.data_to_send()
    window = bytes.fromhex("02 000000 000004 05 00000000 002625a0")
    bandwidth = bytes.fromhex("02 000000 000005 06 00000000 002625a0 02")
    chunk_size = bytes.fromhex("02 000000 000004 01 00000000 00001000")
    assert answer.startswith(window + bandwidth + chunk_size + b"\x03")
    (result,) = connected().commands()
    assert (result.name, result.transaction_id) == ("_result", 1)


def test_long_answers_are_in_chunks_of_the_size_that_was_told() -> None:
    session = asked()
    session.server.refuse_publish("x" * 5000)
    assert session.status()["description"] == "x" * 5000


@pytest.mark.parametrize("app", ["app", "app/", "/app/", "app?token=1", "app/?token=1"])
def test_the_application_is_named_without_slashes_and_query(app: str) -> None:
    session = connected(app=app)
    session.command("createStream", None, transaction_id=2)
    assert session.command("publish", None, "key", "live", stream_id=1) == [PublishAsked(app="app", stream_key="key")]


def test_commands_may_be_of_the_amf3_type() -> None:
    session = Session()
    session.say(COMMAND_AMF3, b"\0" + write_values("connect", 1, {"app": "app"}))
    assert [command.name for command in session.commands()] == ["_result"]


@pytest.mark.parametrize("arguments", [(), (None,), ({},), ({"app": None},), ({"app": 1},), (["app"],)])
def test_connect_names_an_application(arguments: tuple[Amf0Value, ...]) -> None:
    with pytest.raises(RtmpError, match="connect"):
        Session().command("connect", *arguments, transaction_id=1)


def test_an_application_and_a_key_have_bounded_names() -> None:
    limits = RtmpLimits(max_name_bytes=4)
    with pytest.raises(RtmpError, match="`app` of `connect` has more than 4 bytes"):
        connected(limits, app="a" * 5)
    session = connected(limits)
    session.command("createStream", None, transaction_id=2)
    with pytest.raises(RtmpError, match="name of `publish` has more than 4 bytes"):
        session.command("publish", None, "a" * 5, stream_id=1)


@pytest.mark.parametrize("name", ["createStream", "publish", "FCUnpublish", "closeStream", "play", "whatever"])
def test_connect_comes_first(name: str) -> None:
    with pytest.raises(RtmpError, match="`connect` is the first command"):
        Session().command(name, None, transaction_id=1)


def test_connect_comes_once() -> None:
    with pytest.raises(RtmpError, match="comes once"):
        connected().command("connect", {"app": "app"}, transaction_id=2)


def test_each_created_stream_has_the_next_number() -> None:
    session = connected()
    session.answers()
    session.command("createStream", None, transaction_id=4)
    session.command("createStream", None, transaction_id=5)
    answers = [(answer.name, answer.transaction_id, *answer.arguments) for answer in session.commands()]
    assert answers == [("_result", 4, None, 1), ("_result", 5, None, 2)]


@pytest.mark.parametrize("name", ["releaseStream", "FCPublish", "getStreamLength", "_checkbw"])
def test_what_needs_no_answer_but_waits_for_one_is_acknowledged(name: str) -> None:
    session = connected()
    session.answers()
    assert session.command(name, None, "key", transaction_id=2) == []
    assert [(answer.name, answer.transaction_id, *answer.arguments) for answer in session.commands()] == [
        ("_result", 2, None, UNDEFINED)
    ]
    session.command(name, None, "key")
    assert session.answers() == []


def test_an_unknown_command_is_refused_if_it_waits_for_an_answer() -> None:
    session = connected()
    session.answers()
    assert session.command("whatever", None, transaction_id=9) == []
    (refusal,) = session.commands()
    assert (refusal.name, refusal.transaction_id) == ("_error", 9)
    assert refusal.arguments[1] == {
        "level": "error",
        "code": "NetConnection.Call.Failed",
        "description": "This command is not known here.",
    }
    session.command("whatever", None)
    assert session.answers() == []


@pytest.mark.parametrize("name", ["_result", "_error", "onStatus"])
def test_an_answer_is_not_answered(name: str) -> None:
    session = connected()
    session.answers()
    assert session.command(name, None, transaction_id=9) == []
    assert session.answers() == []


@pytest.mark.parametrize("name", ["play", "play2"])
def test_a_player_is_refused(name: str) -> None:
    session = connected()
    session.command("createStream", None, transaction_id=2)
    session.answers()
    session.command(name, None, "key", stream_id=1)
    assert session.status()["code"] == "NetStream.Play.Failed"


def test_publish_asks_with_the_key_without_its_query() -> None:
    session = connected()
    session.command("createStream", None, transaction_id=2)
    session.answers()
    assert session.command("publish", None, "a/key?x=1?y", "live", stream_id=1, transaction_id=3) == [
        PublishAsked(app="app", stream_key="a/key")
    ]
    assert session.answers() == []


def test_a_key_is_not_shown_where_the_event_is_logged() -> None:
    assert "secret" not in repr(PublishAsked(app="app", stream_key="secret"))


@pytest.mark.parametrize("arguments", [(), (None,), (None, 5), (None, None)])
def test_publish_names_a_key(arguments: tuple[Amf0Value, ...]) -> None:
    session = connected()
    session.command("createStream", None, transaction_id=2)
    with pytest.raises(RtmpError, match="the name of `publish` is not a text"):
        session.command("publish", *arguments, stream_id=1)


@pytest.mark.parametrize("stream_id", [0, 2])
def test_publish_is_on_a_created_stream(stream_id: int) -> None:
    session = connected()
    session.command("createStream", None, transaction_id=2)
    with pytest.raises(RtmpError, match=f"message stream {stream_id}, which `createStream` did not give"):
        session.command("publish", None, "key", "live", stream_id=stream_id)


def test_publish_is_not_on_a_deleted_stream() -> None:
    session = connected()
    session.command("createStream", None, transaction_id=2)
    assert session.command("deleteStream", None, 1.0) == []
    with pytest.raises(RtmpError, match="`createStream` did not give"):
        session.command("publish", None, "key", "live", stream_id=1)


@pytest.mark.parametrize("state", [asked, publishing])
def test_a_connection_has_one_publish(state: Callable[[], Session]) -> None:
    session = state()
    session.command("createStream", None, transaction_id=5)
    with pytest.raises(RtmpError, match="a second `publish`"):
        session.command("publish", None, "another", "live", stream_id=2)


def test_an_accepted_publish_is_told_its_stream_and_its_start() -> None:
    session = asked()
    session.server.accept_publish()
    begin, status = session.answers()
    assert (begin.type_id, begin.payload.hex()) == (4, "000000000001")
    assert status.stream_id == 1
    session = asked()
    session.server.accept_publish()
    assert session.status() == {
        "level": "status",
        "code": "NetStream.Publish.Start",
        "description": "Publishing.",
    }


def test_an_encoder_that_said_fcpublish_is_told_of_that_too() -> None:
    session = connected()
    session.command("FCPublish", None, "key", transaction_id=2)
    session.command("createStream", None, transaction_id=3)
    session.command("publish", None, "key", "live", stream_id=1)
    session.answers()
    session.server.accept_publish()
    assert [(command.name, command.stream_id) for command in session.commands()] == [
        ("onFCPublish", 0),
        ("onStatus", 1),
    ]


def test_a_refused_publish_is_told_why_and_nothing_counts_after_it() -> None:
    session = asked()
    session.server.refuse_publish("The stream key is not known.")
    assert session.status() == {
        "level": "error",
        "code": "NetStream.Publish.Denied",
        "description": "The stream key is not known.",
    }
    assert session.say(VIDEO, b"x", stream_id=1) == []
    assert session.command("publish", None, "another", "live", stream_id=1) == []
    assert session.answers() == []


@pytest.mark.parametrize("state", [Session, connected, publishing])
def test_only_a_publish_that_waits_is_accepted_or_refused(state: Callable[[], Session]) -> None:
    session = state()
    session.answers()
    with pytest.raises(RtmpError, match="no publish waits"):
        session.server.accept_publish()
    with pytest.raises(RtmpError, match="no publish waits"):
        session.server.refuse_publish("no")
    assert session.answers() == []


def test_a_connection_has_a_bounded_number_of_commands() -> None:
    session = connected(RtmpLimits(max_commands=3))
    session.command("createStream", None, transaction_id=2)
    session.command("createStream", None, transaction_id=3)
    with pytest.raises(RtmpError, match="more than 3 commands"):
        session.command("createStream", None, transaction_id=4)
