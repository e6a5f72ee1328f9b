"""The glossary and the module names agree: each word of the project's own is defined, and nothing else is listed."""

import re
from pathlib import Path

import stagebook

ROOT = Path(stagebook.__file__).parent
GLOSSARY = Path(__file__).parents[1] / "docs" / "glossary.md"

_WORDS = {
    "HTTP, AWS, security": """
        api arns asgi authority authorization authorization_header aws bearer body bucket caller canonical s3
        certificate certificates cli
        client compositions configuration configurations connection credentials cross endpoint error errors header
        headers http ids json jwt key keys limits log logs material member members model operation operations
        origin origins page payload payloads policy private public recording request requests resource resources
        response responses rest router secrets serialization settings signature sigv4 socket sockets sources
        storage tag tags timestamps token tokens validation webhook webhooks websocket
    """,
    "WebRTC and RTP": """
        answer bandwidth candidates choice codec codecs congestion delay description dtls estimate extensions
        fragment ice layer layers lite alert fatal feedback hello jitter loss media nack negotiation offer
        packet packets pacer peer plan probe probing published publisher receiver red relay rtc rtcp rtp rtt rtx
        sdp session sessions sfu simulcast srtp statistics stream streams stun tcp temporal track tracks
        transport trickle turn udp viewer whip
    """,
    "RTMP and codecs": """
        aac amf0 audio avc bit chunk command control enhanced flv h264 handshake message messages nal names opus
        packetizer parameter push rtmp rtmps sets sps tls video vp8
    """,
    "LiveKit": """
        livekit room rooms twirp uplink
    """,
    "recording and composition": """
        aspect address backoff bodies canvas channel clip composition compositor decoder encoded encoders encoding fmp4
        frame frames grid hls inputs layout manifest metadata mixer mp4 multivariant object objects outputs
        picture pictures pip playlist recorder recordings renditions resampler scaler segment segmenter segments sound
        spool store stores thumbnail thumbnails upload uploader uploads
        buffer drawing fades limiter memory mixing order sample tile window
    """,
    "clusters": """
        cluster directory forwarding internal node owner tunnel
    """,
    "software": """
        access app attributes book builder change changes clock code codes collection commands config demo document
        encoder end engine event events exchange exit facts flags garbage grammar health history id info ingest
        input json lifecycle limit line listen lock machine main manager metering of order orders output parse parser
        participant participants participation parts pending phase pipeline pool process processes protocol queries
        query queue quotas rate rates reader recovery registry replication row rows rules run schema section server
        service setting shared sqlite stage stages state store system table timeout timeouts timer to traceback
        transaction transitions unit user wall wiring work worker writer
        action checks completion finding folder installation library port version versions
        calls console openapi cookie identity operator routes signed watch
        export file lines pages parameters parquet reads scan terminal text totals views
    """,
}

FIELD_WORDS = frozenset(word for words in _WORDS.values() for word in words.split())
"""Words with an established meaning in the field. A module that is named by them alone explains itself."""


def module_names() -> set[str]:
    """Return the names of all modules and packages."""
    modules = {path.stem for path in ROOT.rglob("*.py") if not path.name.startswith("__")}
    return modules | {path.parent.name for path in ROOT.rglob("__init__.py")} - {"stagebook"}


def defined_names() -> set[str]:
    """Return the names in code font in the first column of the glossary's table."""
    rows = [line.split("|")[1] for line in GLOSSARY.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return {name for row in rows for name in re.findall(r"`([a-z0-9_]+)`", row)}


def test_each_module_with_a_word_of_our_own_is_defined() -> None:
    unexplained = {name for name in module_names() if not set(name.split("_")) <= FIELD_WORDS}
    assert sorted(unexplained - defined_names()) == []


def test_the_glossary_lists_existing_modules_only() -> None:
    assert sorted(defined_names() - module_names()) == []
