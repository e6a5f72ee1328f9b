"""What changes in session descriptions between a peer and LiveKit.

The peer's offer and LiveKit's answer go through almost as they are, line by line. Changed are the parts that Stagebook
decides (the codecs of a publisher and their order, its bitrate), what signalling has apart from the description (ICE
candidates), and what an ICE restart replaces (credentials). Offers have been parsed by `media.rtc.sdp` before, so they
are bounded and well-formed.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.port import MediaRefusedError, RefusalReason
from stagebook.media.rtc.sdp.media_plan import PublisherPlan, ViewerPlan
from stagebook.media.rtc.sdp.section_choice import RECEIVING, usable_sections
from stagebook.media.rtc.sdp.session_description import SessionDescription
from stagebook.media.rtc.sdp.trickle_fragment import IceFragment

_RTPMAP = re.compile(r"a=rtpmap:(\d+) ([^/\s]+)/")
_APT = re.compile(r"a=fmtp:(\d+) (?:.*;)?\s*apt=(\d+)")
_OF_PAYLOAD = re.compile(r"a=(?:rtpmap|fmtp|rtcp-fb):(\d+) ")


class TrackIds(msgspec.Struct, frozen=True, kw_only=True):
    """The track ids of a publisher's offer (`a=msid`, RFC 8830)."""

    audio: str | None
    video: str | None


def ice_session(sdp: str) -> str:
    """Return what identifies the ICE session of an answer: its username fragment.

    Raises MediaRefusedError (ENGINE_LOST) without one.
    """
    found = re.search(r"^a=ice-ufrag:(\S+)", sdp, re.MULTILINE)
    if found is None:
        raise MediaRefusedError(reason=RefusalReason.ENGINE_LOST, detail="LiveKit's answer has no ICE credentials")
    return found[1]


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


def publisher_answer(answer: str, *, video_codecs: Sequence[Codec], bitrate_bps: int) -> str:
    """Return LiveKit's answer to a publisher with the video codecs that the server allows, in its order of preference.

    Browsers send the first codec of an answer, and LiveKit lists VP8 first. `bitrate_bps` becomes the bandwidth of the
    video section (`b=TIAS`, RFC 3890), which browsers keep to.
    """
    sections = _split(answer)
    for lines in sections[1:]:
        if lines[0].startswith("m=video ") and not lines[0].startswith("m=video 0 "):
            _choose_codecs(lines, video_codecs)
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


def _choose_codecs(lines: list[str], codecs: Sequence[Codec]) -> None:
    """Keep the payload types of some codecs in a section, with their RTX, in the order of `codecs`.

    Without any of them the section stays as it is.
    """
    names = {number: name.upper() for number, name in (found.groups() for found in _found(_RTPMAP, lines))}
    rtx_of = {apt: number for number, apt in (found.groups() for found in _found(_APT, lines))}
    order = [codec.upper() for codec in codecs]
    formats = lines[0].split()[3:]
    chosen = sorted(
        (number for number in formats if names.get(number) in order), key=lambda number: order.index(names[number])
    )
    kept = [each for number in chosen for each in (number, rtx_of.get(number)) if each is not None]
    if not kept:
        return
    lines[0] = " ".join([*lines[0].split()[:3], *kept])
    lines[:] = [line for line in lines if (of := _OF_PAYLOAD.match(line)) is None or of[1] in kept]


def _found(pattern: re.Pattern[str], lines: Sequence[str]) -> list[re.Match[str]]:
    return [found for line in lines if (found := pattern.match(line)) is not None]


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
