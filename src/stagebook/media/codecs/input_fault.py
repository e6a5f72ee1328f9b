"""The one way in which an encoder's own bytes end its stream."""

from stagebook.media.port import IngestFault


class InputFaultError(Exception):
    """The stream breaks a rule and cannot go on. The text says what was found and what the rule is."""

    def __init__(self, *, fault: IngestFault, detail: str) -> None:
        super().__init__(detail)
        self.fault = fault
        self.detail = detail


def broken(detail: str) -> InputFaultError:
    """The fault of bytes that are not what they say they are."""
    return InputFaultError(fault=IngestFault.INPUT, detail=detail)


def wrong_video(detail: str) -> InputFaultError:
    """The fault of video that is not ours to carry."""
    return InputFaultError(fault=IngestFault.VIDEO_CODEC, detail=detail)


def wrong_audio(detail: str) -> InputFaultError:
    """The fault of audio that is not ours to carry."""
    return InputFaultError(fault=IngestFault.AUDIO_CODEC, detail=detail)
