"""The startup banner: the addresses of the server, its data folder, how to use it, and warnings about its settings."""

import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from stagebook.config.cluster_settings import encrypts_database
from stagebook.config.settings import SETTINGS, Settings


def startup_banner(
    settings: Settings,
    *,
    version: str,
    listening: str,
    public_url: str,
    data: Path,
    media: str,
    ingest: str,
    node: str = "",
) -> str:
    """Return the text of the banner, several lines.

    `listening` is the address of the HTTP server. `media` and `ingest` describe the addresses of WebRTC and RTMP;
    `ingest` is empty if RTMP and RTMPS are switched off. `node` describes a node, and is empty for any other server.
    """
    environment = f'eval "$({env_command(settings)})"'
    lines = [
        f"Stagebook {version} is listening on http://{listening}",
        f"  public URL   {public_url}",
        f"  media        {media}",
        f"  encoders     {ingest or 'none: rtmp_listen and rtmps_listen are switched off'}",
        f"  console      {public_url}/console/",
        *([f"  node         {node}"] if node else []),
        f"  data         {data}",
        f"  AWS clients  {environment}",
        "               then for example: aws ivs-realtime create-stage --name first",
        "  end          Ctrl-C or SIGTERM",
    ]
    return "\n".join(lines)


def env_command(settings: Settings) -> str:
    """Return the `stagebook env` command for this server, quoted for a shell in the working directory of the server."""
    program = Path(sys.argv[0])
    if shutil.which("stagebook"):
        name = "stagebook"
    elif program.name == "__main__.py":  # python -m stagebook
        name = f"{shlex.quote(sys.executable)} -m stagebook"
    else:
        name = shlex.quote(_short(program))
    if settings.data == SETTINGS["data"].default:
        return f"{name} env"
    return f"{name} env --data {shlex.quote(settings.data)}"


def settings_warnings(settings: Settings) -> Sequence[str]:
    """Return warnings about settings that are insecure or will not work, one sentence each."""
    found = []
    address = settings.address
    if settings.auth == "off":
        clients = "this machine" if address.is_loopback else "EVERY CLIENT THAT REACHES THIS ADDRESS"
        found.append(f"auth is off: {clients} may call every operation without signing; for tests only")
    found += _media_port_warnings(settings)
    if address.is_wildcard and settings.public_url is None:
        found.append("public_url is not set: the endpoints of stages contain a loopback address")
    has_own_engine = settings.media_engine == "stagebook"
    if has_own_engine and address.is_wildcard and not settings.media_announce and not settings.media_bind:
        found.append(
            "media_announce is not set: ICE candidates contain the local addresses of this host, not those of a NAT"
        )
    if not address.is_loopback and not (settings.public_url or "").startswith("https:"):
        found.append("tokens and signed requests travel unencrypted: use a TLS proxy in front of a public address")
    return [*found, *_ingest_warnings(settings), *_node_warnings(settings)]


def _media_port_warnings(settings: Settings) -> Iterator[str]:
    if settings.media_engine == "livekit" or settings.address.is_loopback:
        return
    if settings.media_port == 0:
        yield "media_port is 0: media uses any free UDP ports, so a firewall cannot open them by number"
    elif settings.tcp_media_port == 0:
        yield "media_tcp_port is 0: media uses any free TCP port, so a firewall cannot open it by number"


def _ingest_warnings(settings: Settings) -> Iterator[str]:
    rtmp, rtmps = settings.rtmp_address, settings.rtmps_address
    if rtmp is not None and not rtmp.is_loopback:
        yield "rtmp_listen is open to other machines: stream keys and media travel unencrypted; prefer RTMPS"
    if rtmps is not None and not rtmps.is_loopback and settings.rtmps_certificate is None:
        yield "rtmps_certificate is not set: encoders that check certificates refuse the self-signed one"
    if settings.address.is_loopback:
        return
    servers = (("rtmp", rtmp, settings.rtmp_public_url), ("rtmps", rtmps, settings.rtmps_public_url))
    for scheme, address, public_url in servers:
        if address is not None and address.is_loopback and public_url is None:
            yield f'{scheme}_listen accepts only encoders on this machine: listen on another address, or set it to ""'


def _node_warnings(settings: Settings) -> Iterator[str]:
    if settings.database_url is None:
        return
    if not encrypts_database(settings.database_url):
        yield "database_url has no sslmode=verify-full: secrets and events travel unprotected to another machine"
    internal = settings.internal_address
    if internal is None:
        yield "internal_listen is not set: this must be the only node of its database"
    elif internal.is_wildcard:
        yield "internal_listen is open to every network: let only the other nodes reach it, with a firewall"


def _short(program: Path) -> str:
    try:
        return str(program.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(program.absolute())
