"""The error that an RTMP encoder's media raises when it breaks a rule, with the fault code that AWS gives it.

The parsers of FLV tags, configuration records and timestamps raise it; the ingest process ends the connection and
reports the fault. The detail is sent to the encoder, so it says what was found and what is required.
"""

from stagebook.media.port import IngestFault


class InputFaultError(Exception):
    """The stream cannot go on because of what the encoder sent."""

    def __init__(self, *, fault: IngestFault, detail: str) -> None:
        super().__init__(detail)
        self.fault = fault
        self.detail = detail


def invalid_input(detail: str) -> InputFaultError:
    """An INVALID_INPUT fault: the data is malformed or exceeds a limit."""
    return InputFaultError(fault=IngestFault.INPUT, detail=detail)


def unsupported_video(detail: str) -> InputFaultError:
    """An INVALID_VIDEO_CODEC fault: the video is well-formed, but not H.264 that browsers decode."""
    return InputFaultError(fault=IngestFault.VIDEO_CODEC, detail=detail)


def unsupported_audio(detail: str) -> InputFaultError:
    """An INVALID_AUDIO_CODEC fault: the audio is well-formed, but not AAC-LC."""
    return InputFaultError(fault=IngestFault.AUDIO_CODEC, detail=detail)
