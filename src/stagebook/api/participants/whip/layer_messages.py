"""The JSON bodies of the layer list and of a choice (draft-ietf-wish-whep-02, "Video Layer Selection extension").

The list has two forms in one object, for two kinds of clients:

* `layers`, with the bitrate in kbit/s and the layer that is sent: what the Web Broadcast SDK reads. It ignores the
  other member. The smallest layer comes first: of two layers, one larger and one with more frames a second, the SDK
  takes the later one for the better (observed with version 1.41).
* The number of the video's m-line in the offer, with the draft's list for that media section, in bit/s. The draft sends
  it as the `layers` event of server-sent events, which this API does not have.

A choice names the layer as `encodingId`, like the SDK and the draft up to version 02, or as `rid`, like later ones. Its
`mediaId` is ignored: a connection has one video section. `mode` is Stagebook's own, with the values of `LayerMode`.
"""

import msgspec

from stagebook.api.participants.problem_responses import RequestRefusalCode, RequestRefusedError
from stagebook.media.port import LayerChoice, LayerMode, VideoLayer, VideoLayers
from stagebook.stage.json_depth import is_too_deep


class _Choice(msgspec.Struct, frozen=True, kw_only=True):
    encodingId: str | None = None  # noqa: N815 - the name on the wire
    rid: str | None = None
    mode: str | None = None


_WITH_LAYER = (LayerMode.EXACTLY, LayerMode.AT_MOST)
_MODES = {mode.value: mode for mode in LayerMode}


_decode = msgspec.json.Decoder(_Choice).decode
_encode = msgspec.json.Encoder().encode


def layer_list(listed: VideoLayers) -> bytes:
    """Return the body for a list of layers."""
    body: dict[str, object] = {"layers": [_sdk_layer(layer) for layer in listed.layers]}
    if listed.section is not None:
        body[str(listed.section)] = {"layers": [_draft_layer(layer) for layer in listed.layers]}
    return _encode(body)


def parse_choice(body: str) -> LayerChoice:
    """Return the choice of a request's body.

    Without `mode`, an encoding id means exactly that layer, and none the server's choice. Raises RequestRefusedError
    400 for a body that is no JSON object, members of another type, an unknown mode, and a mode with a layer that it
    does not take or without the one that it needs.
    """
    choice = _read_choice(body)
    encoding_id = choice.rid if choice.encodingId is None else choice.encodingId
    if choice.mode is None:
        return LayerChoice.exactly(encoding_id)
    known = _MODES.get(choice.mode)
    if known is None:
        raise _refused(f"`mode` is one of {', '.join(_MODES)}")
    if known in _WITH_LAYER and encoding_id is None:
        raise _refused(f"the mode `{known.value}` needs the layer as `encodingId`")
    if known not in _WITH_LAYER and encoding_id is not None:
        raise _refused(f"the mode `{known.value}` takes no `encodingId`")
    return LayerChoice(mode=known, encoding_id=encoding_id)


def _read_choice(body: str) -> _Choice:
    try:
        if not is_too_deep(body):
            return _decode(body)
    except (msgspec.DecodeError, UnicodeError):
        pass
    raise _refused("the choice of a layer is a JSON object with the strings `encodingId` and `mode`, or without them")


def _refused(message: str) -> RequestRefusedError:
    return RequestRefusedError(status=400, code=RequestRefusalCode.MALFORMED_MESSAGE, message=message)


def _sdk_layer(layer: VideoLayer) -> dict[str, object]:
    return {
        "encodingId": layer.encoding_id,
        "bitrate": round(layer.bitrate_bps / 1000),
        "width": layer.width,
        "height": layer.height,
        "framesPerSecond": layer.frames_per_second,
        "selected": layer.is_selected,
    }


def _draft_layer(layer: VideoLayer) -> dict[str, object]:
    return {
        "encodingId": layer.encoding_id,
        "bitrate": layer.bitrate_bps,
        "width": layer.width,
        "height": layer.height,
    }
