"""The changes of session descriptions between a peer and LiveKit.

The peer's offer and LiveKit's answer are passed on line by line. Changed are the parts that Stagebook
decides (the codecs of a publisher and their order, its bitrate), what signalling has apart from the description (ICE
candidates), and what an ICE restart replaces (credentials). Offers have been parsed by `media.rtc.sdp` before, so they
are bounded and well-formed.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.port import MediaRefusedError, RefusalReason
from stagebook.media.rtc.sdp.media_plan import PublisherPlan, ViewerPlan
from stagebook.media.rtc.sdp.section_choice import RECEIVING, usable_sections
from stagebook.media.rtc.sdp.session_description import SessionDescription
from stagebook.media.rtc.sdp.trickle_fragment import IceFragment

MAX_ANSWER_CHARACTERS = 256 * 1_024
MAX_ANSWER_SECTIONS = 64
_UFRAG = re.compile(r"^a=ice-ufrag:([A-Za-z0-9+/]{4,256})\s*$", re.MULTILINE)
"""RFC 8839 section 5.4."""
_SECTION = re.compile(r"m=\S+ \S+ \S+( \S+)*")
_OF_PAYLOAD = re.compile(r"a=(?:rtpmap|fmtp|rtcp-fb):(\d+) ")


class TrackIds(msgspec.Struct, frozen=True, kw_only=True):
    """The track ids of a publisher's offer (`a=msid`, RFC 8830)."""

    audio: str | None
    video: str | None


def ice_session(sdp: str) -> str:
    """Return what identifies the ICE session of an answer: its username fragment.

    Raises MediaRefusedError (ENGINE_LOST) without one.
    """
    found = _UFRAG.search(sdp)
    if found is None:
        raise MediaRefusedError(reason=RefusalReason.ENGINE_LOST, detail="LiveKit's answer has no ICE credentials")
    return found[1]


def require_answer(sdp: str) -> str:
    """Return LiveKit's answer. Raises MediaRefusedError (ENGINE_LOST) if it is too large, or no session description.

    What follows takes time and memory by its sections and their candidates.
    """
    sections = [] if len(sdp) > MAX_ANSWER_CHARACTERS else [part[0] for part in _split(sdp)[1:]]
    is_usable = 0 < len(sections) <= MAX_ANSWER_SECTIONS and all(_SECTION.fullmatch(line) for line in sections)
    if not is_usable:
        raise MediaRefusedError(reason=RefusalReason.ENGINE_LOST, detail="LiveKit's answer cannot be used")
    return sdp


def viewer_codecs(
    offer: SessionDescription, plan: ViewerPlan, *, sends: Iterable[MediaKind]
) -> Mapping[MediaKind, frozenset[str]]:
    """Return the kinds of media that flow to a viewer, with the codecs that it offers for them, in upper case.

    `sends` has the kinds that the publisher sends.
    """
    wanted = {track.kind for track in plan.tracks} & set(sends)
    offered: dict[MediaKind, set[str]] = {kind: set() for kind in MediaKind if kind in wanted}
    for _, section in usable_sections(offer, RECEIVING):
        if section.kind in wanted:
            names = {payload.encoding.upper() for payload in section.payloads}
            offered[MediaKind(section.kind)] |= names
    return {kind: frozenset(names) for kind, names in offered.items()}


def with_track_ids(offer: str, plan: PublisherPlan, *, name: str) -> tuple[str, TrackIds]:
    """Return a publisher's offer in which each track that it sends has an `a=msid`, and the ids.

    LiveKit drops simulcast layers of a section without one. `name` is used where the offer has none.
    """
    sections = _split(offer)
    ids: dict[MediaKind, str] = {}
    for track in plan.tracks:
        lines = sections[track.section + 1]
        known = next((line for line in lines if line.startswith("a=msid:")), None)
        words = [] if known is None else known.removeprefix("a=msid:").split()
        if known is not None and len(words) < 2:
            lines.remove(known)
        if len(words) < 2:
            words = [name, f"{name}-{track.kind}"]
            lines.append(f"a=msid:{' '.join(words)}")
        ids[track.kind] = words[1]
    return _join(sections), TrackIds(audio=ids.get(MediaKind.AUDIO), video=ids.get(MediaKind.VIDEO))


def publisher_offer(offer: str, plan: PublisherPlan) -> str:
    """Return a publisher's offer with one video codec and its RTX: the one that it shall send.

    LiveKit takes the first codec that it accepts for the codec of the track, and drops the packets of all others.
    """
    sections = _split(offer)
    video = plan.video
    if video is not None:
        numbers = (video.payload_type, video.rtx_payload_type)
        _choose_formats(sections[video.section + 1], [str(number) for number in numbers if number is not None])
    return _join(sections)


def publisher_answer(answer: str, plan: PublisherPlan, *, bitrate_bps: int) -> str:
    """Return LiveKit's answer to a publisher with the video payload types that the own engine would accept.

    They are in the order of the plan: browsers send the first codec of an answer, and LiveKit lists VP8 first.
    `bitrate_bps` becomes the bandwidth of the video section (`b=TIAS`, RFC 3890), which browsers keep to.
    """
    sections = _split(answer)
    if plan.video is not None and plan.video.section + 1 < len(sections):
        lines = sections[plan.video.section + 1]
        _choose_formats(lines, [str(number) for number in plan.video.payload_types])
        at = next((index + 1 for index, line in enumerate(lines) if line.startswith("c=")), 1)
        lines.insert(at, f"b=TIAS:{bitrate_bps}")
    return _join(sections)


def with_candidates(sdp: str, candidates: Sequence[str]) -> str:
    """Return a description with these candidates (values of `a=` lines) in every section, and their end.

    Some clients read only the section that they are interested in.
    """
    head, *sections = _split(sdp)
    for lines in sections:
        present = set(lines)
        lines[:] = [line for line in lines if line != "a=end-of-candidates"]
        lines += [f"a={candidate}" for candidate in candidates if f"a={candidate}" not in present]
        lines.append("a=end-of-candidates")
    return _join([head, *sections])


def fragment_candidates(fragment: str) -> list[str]:
    """Return the candidates of a trickle fragment as values of `a=` lines."""
    return [line[2:] for line in fragment.splitlines() if line.startswith("a=candidate:")]


def restarted_offer(offer: str, fragment: IceFragment, candidates: Sequence[str]) -> str:
    """Return an offer of the same peer with the ICE credentials and candidates of a fragment.

    The fragment must have credentials (RFC 8839 section 4.4.1.1).
    """
    lines = [
        line for part in _split(offer) for line in part if not line.startswith(("a=candidate:", "a=end-of-candidates"))
    ]
    replaced = {"a=ice-ufrag:": fragment.ufrag, "a=ice-pwd:": fragment.pwd}
    for name, value in replaced.items():
        lines = [f"{name}{value}" if line.startswith(name) else line for line in lines]
    made = "\r\n".join(lines) + "\r\n"
    return with_candidates(made, candidates) if candidates else made


def restart_fragment(answer: str, candidates: Sequence[str], *, mid: str, kind: str) -> str:
    """Return the fragment that answers an ICE restart (RFC 9725 section 4.3.3), from LiveKit's new answer.

    `mid` and `kind` are those of the first section of the bundle.
    """
    credentials = dict.fromkeys(re.findall(r"^a=ice-(?:ufrag|pwd):\S+", answer, re.MULTILINE))
    lines = [
        *list(credentials)[:2],
        f"m={kind} 9 UDP/TLS/RTP/SAVPF 0",
        f"a=mid:{mid}",
        *(f"a={candidate}" for candidate in candidates),
        "a=end-of-candidates",
    ]
    return "\r\n".join(lines) + "\r\n"


def _choose_formats(lines: list[str], wanted: Sequence[str]) -> None:
    """Keep these payload types of a section, in this order. Without any of them the section stays as it is."""
    kind, port, protocol, *formats = lines[0].split()
    kept = [number for number in wanted if number in formats]
    if kept:
        lines[0] = " ".join([kind, port, protocol, *kept])
        lines[:] = [line for line in lines if (of := _OF_PAYLOAD.match(line)) is None or of[1] in kept]


def _split(sdp: str) -> list[list[str]]:
    """Return the lines of the session part, and those of each section."""
    parts: list[list[str]] = [[]]
    for line in re.split(r"\r\n|\n|\r", sdp):
        if line.startswith("m="):
            parts.append([])
        if line:
            parts[-1].append(line.rstrip())
    return parts


def _join(parts: Iterable[Iterable[str]]) -> str:
    return "".join(f"{line}\r\n" for part in parts for line in part)
