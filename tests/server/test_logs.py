"""Log lines: one line per event, the format, and the redaction of secrets."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from stagebook.media.port import IngestAsked
from stagebook.server.logs import REDACTED, configure_logging

JWT = "eyJhbGciOiJFUzM4NCJ9.eyJqdGkiOiJhYmMifQ.c2lnbmF0dXJl"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def configure(stream: io.StringIO, *, level: str = "info", form: str = "json") -> None:
    configure_logging(level=level, form=form, secrets=[SECRET], stream=stream)


def test_a_json_line_has_level_time_and_values(stream: io.StringIO) -> None:
    configure(stream)
    structlog.get_logger("stagebook").info("server started", port=8080)
    line = json.loads(stream.getvalue())
    assert (line["level"], line["event"], line["port"]) == ("info", "server started", 8080)
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_event_is_one_line_even_with_a_traceback(stream: io.StringIO, form: str) -> None:
    configure(stream, form=form)
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        structlog.get_logger().exception("it broke\nbadly")
    assert stream.getvalue().count("\n") == 1
    assert "Traceback" in stream.getvalue()


def test_lines_of_the_standard_module_have_the_same_format(stream: io.StringIO) -> None:
    configure(stream)
    logging.getLogger("some.library").warning("disk %s", "full")
    assert json.loads(stream.getvalue())["event"] == "disk full"


def test_lines_below_the_level_are_not_written(stream: io.StringIO) -> None:
    configure(stream, level="warning")
    structlog.get_logger().info("quiet")
    assert stream.getvalue() == ""


def test_debug_lines_of_libraries_are_not_written(stream: io.StringIO) -> None:
    configure(stream, level="debug")
    logging.getLogger("websockets.server").debug("< Sec-WebSocket-Protocol: %s", JWT)
    logging.getLogger("uvicorn.error").info("Started server process")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    ("message", "values"),
    [
        ("plain", {"authorization": "Bearer abc123"}),
        ("plain", {"participant_token": "abc123"}),
        ("plain", {"secret_access_key": "abc123"}),
        ("plain", {"stream_key": "abc123"}),
        (f"token {JWT} refused", {}),
        ("plain", {"headers": [(b"authorization", f"Bearer {JWT}".encode())]}),
        ("plain", {"header": "Authorization: Bearer abc123"}),
        ("plain", {"header": "authorization: bearer abc123"}),
        ("sent with bearer abc123", {}),
        ("plain", {"header": "AWS4-HMAC-SHA256 Credential=a, Signature=abc123"}),
        ("plain", {"detail": f"key {SECRET}"}),
        ("refused rt_123456789012_us-west-2_AbCdEfGh1234_abc123", {}),
        ("plain", {"detail": b"publish rt_123456789012_us-west-2_AbCdEfGh1234_abc123\x00"}),
        ("plain", {"detail": "sbk_k3jd72md6q_abc123 is wrong"}),
        ("plain", {"detail": "publish=live%2Frt_123456789012_us-west-2_AbCdEfGh1234_abc123%3Fx"}),
        ("plain", {"url": "rtmp://127.0.0.1/app/rt_123456789012_us-west-2_AbCdEfGh1234_abc123?x"}),
    ],
)
def test_secrets_are_redacted(stream: io.StringIO, form: str, message: str, values: dict[str, object]) -> None:
    configure(stream, form=form)
    structlog.get_logger().warning(message, **values)
    assert REDACTED in stream.getvalue()
    for secret in (JWT, SECRET, "abc123"):
        assert secret not in stream.getvalue()


def test_a_sentence_about_bearer_keys_is_not_redacted(stream: io.StringIO) -> None:
    configure(stream)
    structlog.get_logger().warning("the bearer keys cannot be read", reason="a bearer key, its role.")
    line = json.loads(stream.getvalue())
    assert (line["event"], line["reason"]) == ("the bearer keys cannot be read", "a bearer key, its role.")


def test_a_short_word_in_a_header_is_redacted(stream: io.StringIO) -> None:
    configure(stream)
    structlog.get_logger().warning("authorization: bearer hunter, Bearer hunter")
    assert "hunter" not in stream.getvalue()


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_line_of_a_worker_process_keeps_its_values(stream: io.StringIO, form: str) -> None:
    configure(stream, form=form)
    values = {"address": "192.0.2.1", "stream_key": "abc123", "event": "forged", "level": "forged"}
    logging.getLogger("stagebook.media.ingest").log(logging.WARNING, "%s", "an encoder left", extra={"values": values})
    line = stream.getvalue()
    assert "192.0.2.1" in line
    assert "an encoder left" in line
    assert "warning" in line
    assert "abc123" not in line
    assert "forged" not in line


def test_stream_keys_in_a_line_of_a_worker_process_are_redacted(stream: io.StringIO) -> None:
    configure(stream)
    key = "rt_123456789012_us-west-2_AbCdEfGh1234_abc123"
    ask = IngestAsked(ask_id="1", stream_key=key, is_secure=True, remote_address="192.0.2.1")
    logging.getLogger("stagebook.media.ingest.encoder_session").log(logging.WARNING, "%s", f"refused {key}: {ask}")
    assert REDACTED in stream.getvalue()
    assert "abc123" not in stream.getvalue()


def test_secrets_in_an_exception_are_redacted(stream: io.StringIO) -> None:
    configure(stream)
    try:
        raise ValueError(JWT)
    except ValueError:
        structlog.get_logger().exception("it broke")
    assert JWT not in stream.getvalue()
