"""Settings of media: WebRTC in the engine processes, RTMP and RTMPS in the ingest processes."""

from typing import Annotated

from stagebook.config.ice_server_setting import MAX_ICE_SERVERS, IceServerSetting
from stagebook.config.rules import Rule, every, is_address, is_ingest_url, is_ip
from stagebook.config.webhook_settings import WebhookSettings

VIDEO_CODECS = ("H264", "VP8")


class MediaSettings(WebhookSettings, frozen=True, kw_only=True):
    """The third part of `Settings`. `Settings` checks the values."""

    media_processes: Annotated[
        int,
        Rule(
            description="Number of engine processes, which forward media. Use one per CPU core for media. The "
            "viewers of one publisher may be on all of them.",
            minimum=1,
            maximum=64,
        ),
    ] = 1
    media_user: Annotated[
        str | None,
        Rule(
            description="User of the media processes (engines, encoders, recordings, compositions), if root starts the "
            "server. Default: nobody. Empty: root.",
            requirement="a user other than root",
            accepts=lambda value: value != "root",
        ),
    ] = None
    media_bind: Annotated[
        tuple[str, ...],
        Rule(
            description="Local IP addresses on which media is received. Default: the host of `listen`.",
            requirement="a list of IP addresses",
            accepts=every(is_ip),
        ),
    ] = ()
    media_port: Annotated[
        int,
        Rule(
            description="First UDP port of media (one port for each engine process). 0 chooses free ports.",
            unit="UDP port",
            minimum=0,
            maximum=65_535,
        ),
    ] = 0
    media_tcp: Annotated[
        bool,
        Rule(description="Whether media passes over TCP as well, for peers whose network blocks UDP."),
    ] = True
    media_tcp_port: Annotated[
        int | None,
        Rule(
            description="TCP port of media, one for all engine processes. Default: the number of `media_port`. 0 "
            "chooses a free port.",
            requirement="a whole number from 0 to 65535",
            unit="TCP port",
            minimum=0,
            maximum=65_535,
        ),
    ] = None
    media_announce: Annotated[
        tuple[str, ...],
        Rule(
            description="IP addresses of the ICE candidates instead of the bound ones (for servers behind NAT).",
            requirement="a list of IP addresses",
            accepts=every(is_ip),
        ),
    ] = ()
    ice_servers: Annotated[
        tuple[IceServerSetting, ...],
        Rule(
            description="STUN and TURN servers that participants are told about; only in the TOML file.",
            requirement=f"a list of at most {MAX_ICE_SERVERS} servers",
        ),
    ] = ()
    ice_credentials_seconds: Annotated[
        int,
        Rule(
            description="Lifetime of the TURN credentials that are made from the `secret` of an ICE server.",
            unit="seconds",
            minimum=60,
            maximum=604_800,
        ),
    ] = 43_200
    media_connect_timeout_seconds: Annotated[
        float,
        Rule(
            description="Timeout from the SDP answer to the established media connection.",
            unit="seconds",
            minimum=1,
            maximum=300,
        ),
    ] = 15.0
    media_consent_timeout_seconds: Annotated[
        float,
        Rule(
            description="Time without any sign of the peer after which a media connection is closed.",
            unit="seconds",
            minimum=1,
            maximum=300,
        ),
    ] = 15.0
    media_connections_limit: Annotated[
        int,
        Rule(
            description="Maximum number of publishers and viewers in one engine process. Further ones are refused.",
            minimum=1,
            maximum=60_000,
        ),
    ] = 2_000
    video_codecs: Annotated[
        tuple[str, ...],
        Rule(
            description="Video codecs that publishers may use, in order of preference. AWS accepts only H264.",
            requirement=f"a list of {' and '.join(VIDEO_CODECS)}, at least one, none twice",
            accepts=lambda value: bool(value) and set(value) <= set(VIDEO_CODECS) and len(set(value)) == len(value),
        ),
    ] = VIDEO_CODECS
    offer_limit_bytes: Annotated[
        int, Rule(description="Maximum size of an SDP offer.", unit="bytes", minimum=1_024, maximum=1_048_576)
    ] = 65_536
    rtmp_listen: Annotated[
        str,
        Rule(
            description="Address of the RTMP server.",
            requirement="HOST:PORT, an IPv6 host in brackets, port 0 for any free one, or empty for none",
            unit="HOST:PORT",
            accepts=lambda value: value == "" or is_address(value),
        ),
    ] = "127.0.0.1:1935"
    rtmps_listen: Annotated[
        str,
        Rule(
            description="Address of the RTMPS server.",
            requirement="HOST:PORT, an IPv6 host in brackets, port 0 for any free one, or empty for none",
            unit="HOST:PORT",
            accepts=lambda value: value == "" or is_address(value),
        ),
    ] = "127.0.0.1:1936"
    rtmps_certificate: Annotated[
        str | None,
        Rule(
            description="PEM file of the RTMPS certificate chain. Default: a self-signed one in the data folder.",
            requirement="a path",
            accepts=lambda value: value != "",
        ),
    ] = None
    rtmps_private_key: Annotated[
        str | None,
        Rule(
            description="PEM file of the private key of `rtmps_certificate`, not encrypted.",
            requirement="a path",
            accepts=lambda value: value != "",
        ),
    ] = None
    rtmp_public_url: Annotated[
        str | None,
        Rule(
            description="RTMP URL for encoders, part of stages. Default: the host of `public_url` and the bound port.",
            requirement="a URL such as rtmp://ingest.example.com:1935/app/",
            unit="URL",
            accepts=lambda value: value is None or is_ingest_url(value, scheme="rtmp"),
        ),
    ] = None
    rtmps_public_url: Annotated[
        str | None,
        Rule(
            description="RTMPS URL for encoders, part of stages. Default: the host of `public_url` and the bound port.",
            requirement="a URL such as rtmps://ingest.example.com:443/app/",
            unit="URL",
            accepts=lambda value: value is None or is_ingest_url(value, scheme="rtmps"),
        ),
    ] = None
    ingest_processes: Annotated[
        int,
        Rule(
            description="Number of ingest processes, which serve encoders. 0: one for each CPU core that the server "
            "and the engine processes leave, from 1 to 4.",
            minimum=0,
            maximum=64,
        ),
    ] = 0
    rtmp_connections_limit: Annotated[
        int,
        Rule(
            description="Maximum number of RTMP and RTMPS connections together. Further ones are closed.",
            minimum=1,
            maximum=10_000,
        ),
    ] = 200
    rtmp_streams_limit: Annotated[
        int,
        Rule(
            description="Maximum number of encoders that publish at the same time in one ingest process. "
            "Further ones are refused.",
            minimum=1,
            maximum=10_000,
        ),
    ] = 32
    rtmp_connections_per_address_limit: Annotated[
        int,
        Rule(
            description="Maximum number of RTMP and RTMPS connections from one IP address (see `trusted_proxies`).",
            minimum=1,
            maximum=10_000,
        ),
    ] = 20
    rtmp_connect_timeout_seconds: Annotated[
        float,
        Rule(
            description="Timeout from the TCP connection of an encoder to its publish command with the stream key.",
            unit="seconds",
            minimum=1,
            maximum=300,
        ),
    ] = 10.0
    rtmp_media_timeout_seconds: Annotated[
        float,
        Rule(
            description="Timeout from the admission of an encoder to its first audio and video.",
            unit="seconds",
            minimum=1,
            maximum=300,
        ),
    ] = 10.0
    rtmp_silence_timeout_seconds: Annotated[
        float,
        Rule(
            description="Time without any data after which the connection of an encoder is closed.",
            unit="seconds",
            minimum=1,
            maximum=300,
        ),
    ] = 10.0
    rtmp_buffer_seconds: Annotated[
        float,
        Rule(
            description="How far timestamps may run ahead of real time before reading from the encoder pauses.",
            unit="seconds",
            minimum=0.5,
            maximum=60,
        ),
    ] = 2.0
    rtmp_message_limit_bytes: Annotated[
        int,
        Rule(
            description="Maximum size of an RTMP message, which is one video frame. A larger one ends the stream.",
            unit="bytes",
            minimum=65_536,
            maximum=6_291_456,
        ),
    ] = 4_194_304
