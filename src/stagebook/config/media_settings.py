"""Settings of media: WebRTC by the engines, RTMP and RTMPS by the ingest process, and their bounds.

Must not know what is served over HTTP beside them.
"""

from typing import Annotated

from stagebook.config.rules import Rule, every, is_address, is_ingest_url, is_ip
from stagebook.config.server_settings import ServerSettings

VIDEO_CODECS = ("H264", "VP8")


class MediaSettings(ServerSettings, frozen=True, kw_only=True):
    """The second part of `config.Settings`, which checks the values."""

    media_processes: Annotated[
        int, Rule(why="Engine processes that forward media; one per core you give to it.", minimum=1, maximum=64)
    ] = 1
    media_bind: Annotated[
        tuple[str, ...],
        Rule(
            why="Local addresses media is received on. Default: the host of `listen`.",
            rule="a list of IP addresses",
            accepts=every(is_ip),
        ),
    ] = ()
    media_port: Annotated[
        int,
        Rule(
            why="The first UDP port of media, one for each engine process from there on; 0 takes any free ones.",
            unit="UDP port",
            minimum=0,
            maximum=65_535,
        ),
    ] = 0
    media_announce: Annotated[
        tuple[str, ...],
        Rule(
            why="Addresses told to participants instead of the bound ones (behind NAT, the public address).",
            rule="a list of IP addresses",
            accepts=every(is_ip),
        ),
    ] = ()
    media_connect_timeout_seconds: Annotated[
        float,
        Rule(
            why="How long a peer may take from the answer until its media is connected.",
            unit="seconds",
            minimum=1,
            maximum=300,
        ),
    ] = 15.0
    media_consent_timeout_seconds: Annotated[
        float,
        Rule(
            why="How long a peer may be silent on its media path before it counts as gone (RFC 7675).",
            unit="seconds",
            minimum=1,
            maximum=300,
        ),
    ] = 15.0
    media_connections_limit: Annotated[
        int, Rule(why="Publishers and viewers of one engine process; more are refused.", minimum=1, maximum=60_000)
    ] = 2_000
    video_codecs: Annotated[
        tuple[str, ...],
        Rule(
            why="Video codecs a publisher may use, preferred first. AWS takes H264 alone.",
            rule=f"a list of {' and '.join(VIDEO_CODECS)}, at least one, none twice",
            accepts=lambda value: bool(value) and set(value) <= set(VIDEO_CODECS) and len(set(value)) == len(value),
        ),
    ] = VIDEO_CODECS
    offer_limit_bytes: Annotated[
        int, Rule(why="The largest SDP offer or fragment.", unit="bytes", minimum=1_024, maximum=1_048_576)
    ] = 65_536
    rtmp_listen: Annotated[
        str,
        Rule(
            why="Where encoders publish by RTMP.",
            rule="HOST:PORT, an IPv6 host in brackets, port 0 for any free one, or empty for none",
            unit="HOST:PORT",
            accepts=lambda value: value == "" or is_address(value),
        ),
    ] = "127.0.0.1:1935"
    rtmps_listen: Annotated[
        str,
        Rule(
            why="Where encoders publish by RTMPS.",
            rule="HOST:PORT, an IPv6 host in brackets, port 0 for any free one, or empty for none",
            unit="HOST:PORT",
            accepts=lambda value: value == "" or is_address(value),
        ),
    ] = "127.0.0.1:1936"
    rtmps_certificate: Annotated[
        str | None,
        Rule(
            why="The certificate of RTMPS with its chain, PEM. Default: a self-made one in the data folder.",
            rule="a path",
            accepts=lambda value: value != "",
        ),
    ] = None
    rtmps_private_key: Annotated[
        str | None,
        Rule(
            why="The private key of `rtmps_certificate`, PEM, not encrypted.",
            rule="a path",
            accepts=lambda value: value != "",
        ),
    ] = None
    rtmp_public_url: Annotated[
        str | None,
        Rule(
            why="What encoders reach RTMP by; stages carry it. Default: the host of `public_url` and the bound port.",
            rule="a URL such as rtmp://ingest.example.com:1935/app/",
            unit="URL",
            accepts=lambda value: value is None or is_ingest_url(value, scheme="rtmp"),
        ),
    ] = None
    rtmps_public_url: Annotated[
        str | None,
        Rule(
            why="What encoders reach RTMPS by; stages carry it. Default: the host of `public_url` and the bound port.",
            rule="a URL such as rtmps://ingest.example.com:443/app/",
            unit="URL",
            accepts=lambda value: value is None or is_ingest_url(value, scheme="rtmps"),
        ),
    ] = None
    rtmp_connections_limit: Annotated[
        int, Rule(why="Encoders connected by RTMP and RTMPS together; more are closed.", minimum=1, maximum=10_000)
    ] = 200
    rtmp_connections_per_address_limit: Annotated[
        int, Rule(why="The same from one IP address; a proxy's counts as one.", minimum=1, maximum=10_000)
    ] = 20
    rtmp_connect_timeout_seconds: Annotated[
        float,
        Rule(
            why="How long an encoder may take from its TCP connection to naming a stream key.",
            unit="seconds",
            minimum=1,
            maximum=300,
        ),
    ] = 10.0
    rtmp_media_timeout_seconds: Annotated[
        float,
        Rule(
            why="How long an admitted encoder may take until its audio and video are both there.",
            unit="seconds",
            minimum=1,
            maximum=300,
        ),
    ] = 10.0
    rtmp_silence_timeout_seconds: Annotated[
        float,
        Rule(
            why="How long an encoder may send nothing before it counts as gone.",
            unit="seconds",
            minimum=1,
            maximum=300,
        ),
    ] = 10.0
    rtmp_buffer_seconds: Annotated[
        float,
        Rule(
            why="How far a stream's clock may run ahead before the encoder is made to wait.",
            unit="seconds",
            minimum=0.5,
            maximum=60,
        ),
    ] = 2.0
    rtmp_message_limit_bytes: Annotated[
        int,
        Rule(
            why="The largest RTMP message, which is one picture; a larger one ends the stream.",
            unit="bytes",
            minimum=65_536,
            maximum=6_291_456,
        ),
    ] = 4_194_304
