"""What a person reads when the server starts: where it is, where its data lies, how to use it, what to beware of."""

import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from stagebook.config.settings import SETTINGS, Settings


def greeting(
    settings: Settings, *, version: str, listening: str, public_url: str, data: Path, media: str, ingest: str
) -> str:
    """Return the start message, several lines. `media` says where WebRTC is received, `ingest` where RTMP is."""
    environment = f'eval "$({env_command(settings)})"'
    lines = [
        f"Stagebook {version} is listening on http://{listening}",
        f"  public URL   {public_url}",
        f"  media        {media}",
        f"  encoders     {ingest or 'none: rtmp_listen and rtmps_listen are switched off'}",
        f"  data         {data}",
        f"  AWS clients  {environment}",
        "               then for example: aws ivs-realtime create-stage --name first",
        "  end          Ctrl-C or SIGTERM",
    ]
    return "\n".join(lines)


def env_command(settings: Settings) -> str:
    """Return the `stagebook env` command for this server, as it can be typed in the folder the server runs in."""
    program = Path(sys.argv[0])
    name = "stagebook" if shutil.which("stagebook") else shlex.quote(_short(program))
    if settings.data == SETTINGS["data"].default:
        return f"{name} env"
    return f"{name} env --data {shlex.quote(settings.data)}"


def warnings(settings: Settings) -> Sequence[str]:
    """Return what the operator should know about these settings, one sentence each."""
    found = []
    address = settings.address
    if settings.auth == "off":
        reach = "this machine" if address.is_loopback else "EVERYBODY WHO REACHES THIS ADDRESS"
        found.append(f"auth is off: {reach} may do everything without signing; for test benches only")
    if not address.is_loopback and settings.media_port == 0:
        found.append("media_port is 0: media takes any free UDP ports, which a firewall cannot let through by number")
    if address.is_wildcard and settings.public_url is None:
        found.append("public_url is not set: stages tell participants an address of this machine only")
    if address.is_wildcard and not settings.media_announce and not settings.media_bind:
        found.append(
            "media_announce is not set: participants are told this host's own addresses, not those outside NAT"
        )
    if not address.is_loopback and not (settings.public_url or "").startswith("https:"):
        found.append("tokens and signed requests travel unencrypted: put a TLS proxy before a public address")
    return [*found, *_ingest_warnings(settings)]


def _ingest_warnings(settings: Settings) -> Iterator[str]:
    rtmp, rtmps = settings.rtmp_address, settings.rtmps_address
    if rtmp is not None and not rtmp.is_loopback:
        yield "rtmp_listen is open to other machines: stream keys and media travel unencrypted; RTMPS is the safe way"
    if rtmps is not None and not rtmps.is_loopback and settings.rtmps_certificate is None:
        yield "rtmps_certificate is not set: encoders that check certificates refuse the self-made one"
    if settings.address.is_loopback:
        return
    doors = (("rtmp", rtmp, settings.rtmp_public_url), ("rtmps", rtmps, settings.rtmps_public_url))
    for door, address, public_url in doors:
        if address is not None and address.is_loopback and public_url is None:
            yield f'{door}_listen is for this machine only: open it to other machines\' encoders, or set it to ""'


def _short(program: Path) -> str:
    try:
        return str(program.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(program.absolute())
