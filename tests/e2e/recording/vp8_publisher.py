"""A WebRTC publisher of VP8, without sound."""

from aiortc import RTCRtpSender

from stagebook.demo.generated_media import MovingBar
from tests.clients.publisher import Publisher


class Vp8Publisher(Publisher):
    """Publishes a moving bar as VP8."""

    def __init__(self, token: str) -> None:
        super().__init__(token, video=None, audio=None)
        transceiver = self.connection.addTransceiver(MovingBar(), direction="sendrecv")
        codecs = RTCRtpSender.getCapabilities("video").codecs
        transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == "video/VP8"])
