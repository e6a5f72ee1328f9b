"""The HTTP service of ../README.md, on Python's own HTTP server: `PORT=8001 python stage_backend.py`.

It listens on 127.0.0.1. It does not know who calls: an application signs its users in first, and takes the userId and
the role from there, not from the request.
"""

import json
import os
import re
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from ivs_stages import CAPABILITIES, NotFoundError, Stages

MAX_BODY_BYTES = 16_384
TIMEOUT_SECONDS = 10
ALLOWED_ORIGIN = os.environ.get("ALLOWED_ORIGIN", "http://127.0.0.1:8000")

# A name for the error, a pattern, and what the pattern permits.
STAGE_NAME = ("the name of a stage", r"[A-Za-z0-9_-]{1,128}", "1 to 128 letters, digits, _ or -")
USER_ID = ("userId", r"[A-Za-z0-9_.@-]{1,128}", "1 to 128 letters, digits, _ . @ or -")
ROLE = ("role", "|".join(CAPABILITIES), " or ".join(CAPABILITIES))
PARTICIPANT_ID = ("the id of a participant", r"[A-Za-z0-9-]{1,64}", "1 to 64 letters, digits or -")
SESSION_ID = ("sessionId", r"st-[A-Za-z0-9]{1,61}", "st- and 1 to 61 letters or digits")

Answer = tuple[HTTPStatus, dict[str, Any]]

stages = Stages()


class RefusedError(Exception):
    """A request that the service does not carry out."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


def checked(rule: tuple[str, str, str], value: object) -> str:
    """Return a value that follows its rule. Raises RefusedError."""
    name, pattern, text = rule
    if not isinstance(value, str) or re.fullmatch(pattern, value) is None:
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"{name} must be {text}")
    return value


def create_stage(body: dict[str, Any]) -> Answer:
    stage, is_new = stages.create(checked(STAGE_NAME, body.get("name")))
    return HTTPStatus.CREATED if is_new else HTTPStatus.OK, stage


def create_token(name: str, body: dict[str, Any]) -> Answer:
    checked(STAGE_NAME, name)
    user_id, role = checked(USER_ID, body.get("userId")), checked(ROLE, body.get("role"))
    return HTTPStatus.CREATED, stages.create_token(name, user_id=user_id, role=role)


def list_participants(name: str, _query: dict[str, Any]) -> Answer:
    return HTTPStatus.OK, stages.participants(checked(STAGE_NAME, name))


def list_events(name: str, participant_id: str, query: dict[str, Any]) -> Answer:
    checked(STAGE_NAME, name)
    checked(PARTICIPANT_ID, participant_id)
    session_id = checked(SESSION_ID, query["sessionId"]) if "sessionId" in query else None
    return HTTPStatus.OK, stages.events(name, participant_id=participant_id, session_id=session_id)


ROUTES: dict[str, tuple[str, Callable[..., Answer]]] = {
    r"/stages": ("POST", create_stage),
    r"/stages/([^/]+)/tokens": ("POST", create_token),
    r"/stages/([^/]+)/participants": ("GET", list_participants),
    r"/stages/([^/]+)/participants/([^/]+)/events": ("GET", list_events),
}


class Handler(BaseHTTPRequestHandler):
    timeout = TIMEOUT_SECONDS  # of each read and each write

    def do_GET(self) -> None:
        self.respond()

    def do_POST(self) -> None:
        self.respond()

    def do_OPTIONS(self) -> None:
        self.send_answer(HTTPStatus.NO_CONTENT, None)

    def respond(self) -> None:
        try:
            status, answer = self.call_route()
        except RefusedError as error:
            status, answer = error.status, {"error": str(error)}
        except NotFoundError as error:
            status, answer = HTTPStatus.NOT_FOUND, {"error": str(error)}
        except ClientError as error:
            status, answer = HTTPStatus.BAD_GATEWAY, {"error": f"IVS refused: {error.response['Error']['Code']}"}
        except BotoCoreError as error:
            self.log_error("IVS cannot be called: %s", error)
            status, answer = HTTPStatus.BAD_GATEWAY, {"error": "IVS cannot be called"}
        self.send_answer(status, answer)

    def call_route(self) -> Answer:
        address = urlsplit(self.path)
        content = self.read_content() if self.command == "POST" else b""
        for pattern, (method, route) in ROUTES.items():
            if match := re.fullmatch(pattern, address.path):
                if method != self.command:
                    raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, f"the method must be {method}")
                values = self.read_json(content) if method == "POST" else dict(parse_qsl(address.query))
                return route(*map(unquote, match.groups()), values)
        raise RefusedError(HTTPStatus.NOT_FOUND, "there is no such route")

    def read_content(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if re.fullmatch(r"[0-9]{1,18}", length) is None:
            raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "Content-Length is missing")
        if int(length) > MAX_BODY_BYTES:
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body may have {MAX_BODY_BYTES} bytes")
        return self.rfile.read(int(length))

    def read_json(self, content: bytes) -> dict[str, Any]:
        # A page of another origin can send JSON only after the browser has asked this server: see ALLOWED_ORIGIN.
        if self.headers.get_content_type() != "application/json":
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Content-Type must be application/json")
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "the body must be a JSON object")
        return body

    def send_answer(self, status: HTTPStatus, answer: dict[str, Any] | None) -> None:
        content = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Access-Control-Allow-Origin", ALLOWED_ORIGIN)
        self.send_header("Access-Control-Allow-Headers", "Content-Type")
        if answer is not None:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8001"))), Handler)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
