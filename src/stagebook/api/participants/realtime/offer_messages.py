"""The SDP offers and answers on a websocket that several stages share, as JSON text. They are wrapped as all messages.

    client: {"type": "aws:ivs:SDP_OFFER", "payload": {"whipUrl", "content", "sdk", "initialLayerPref", "requestId",
                                                      "traceId"}}
    server: {"type": "aws:ivs:SDP_ANSWER", "payload": {"requestId", "traceId", "content", "contentType", "location"}}
            the same with "error": {"code", "message", "fatal"} in the payload instead         refused

Observed on the wire with version 1.41.0 of the SDK: over a shared websocket it sends the offers that it sends with HTTP
otherwise (`whip/whip_endpoint.py`). `whipUrl` ends in `/publish/<participant id>` or `/subscribe/<publisher id>`, and
`content` is the offer. It recognizes the answer by the two ids, and does not fall back to HTTP without one. At the end
it sends a DELETE to `location` with HTTP, if there is one.
"""

import re

import msgspec

from stagebook.api.participants.problem_responses import Problem
from stagebook.api.participants.realtime.shared_messages import TRY_AGAIN_STATUSES, AnswerIds, are_short
from stagebook.api.participants.whip.layer_endpoint import preferred_layer
from stagebook.media.port import InitialLayer

SDP_OFFER = "aws:ivs:SDP_OFFER"

_WHIP_PATH = re.compile(r".*/(publish|subscribe)/([A-Za-z0-9_-]{1,64})", re.ASCII)


class SdpOffer(msgspec.Struct, frozen=True, kw_only=True):
    """An offer to publish as `participant_id`, or to subscribe to it. `sdk_version` is what the client says."""

    ids: AnswerIds
    is_publishing: bool
    participant_id: str
    sdp: str
    sdk_version: str
    initial_layer: InitialLayer | None


class _Payload(msgspec.Struct, frozen=True, rename="camel"):
    whip_url: str
    content: str
    request_id: str
    trace_id: str = ""
    sdk: str = ""
    initial_layer_pref: str = ""


class _Message(msgspec.Struct, frozen=True):
    payload: _Payload


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Message).decode


def parse_offer(text: str) -> SdpOffer | None:
    """Return an SDP_OFFER message; None if it is malformed. It must not be nested too deeply."""
    try:
        payload = _decode(text).payload
    except (msgspec.DecodeError, UnicodeError):
        return None
    ids = AnswerIds(request_id=payload.request_id, trace_id=payload.trace_id)
    match = _WHIP_PATH.fullmatch(payload.whip_url)
    if match is None or not are_short(ids):
        return None
    return SdpOffer(
        ids=ids,
        is_publishing=match[1] == "publish",
        participant_id=match[2],
        sdp=payload.content,
        sdk_version=payload.sdk,
        initial_layer=preferred_layer(payload.initial_layer_pref),
    )


def sdp_answer(ids: AnswerIds, *, sdp: str, location: str) -> str:
    """Return the answer to an offer. `location` is the URL that ends the connection."""
    answer = {"content": sdp, "contentType": "application/sdp", "location": location}
    return _answer({"requestId": ids.request_id, "traceId": ids.trace_id, **answer})


def sdp_refusal(ids: AnswerIds, problem: Problem) -> str:
    """Return the answer to an offer that is refused."""
    is_fatal = problem.status not in TRY_AGAIN_STATUSES
    error = {"code": problem.code, "message": problem.message, "fatal": is_fatal}
    return _answer({"requestId": ids.request_id, "traceId": ids.trace_id, "error": error})


def _answer(payload: dict[str, object]) -> str:
    return _encode({"type": "aws:ivs:SDP_ANSWER", "payload": payload}).decode("utf-8")
