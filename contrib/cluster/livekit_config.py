"""The configuration of a LiveKit node on one machine: the example, with its addresses and secret replaced."""

import json
from pathlib import Path
from typing import Final

EXAMPLE: Final = Path(__file__).with_name("livekit.yaml")
API_KEY: Final = "stagebook"
EXAMPLE_SECRET: Final = "change-this-secret-of-livekit-and-stagebook"  # noqa: S105 - of the example
_LOOPBACK: Final = """use_external_ip: false
  node_ip: 127.0.0.1
  enable_loopback_candidate: true
  interfaces:
    includes: [lo]
  stun_servers: []"""


def write_livekit_config(
    path: Path, *, port: int, tcp_port: int, udp_port: int, redis_port: int, webhook_url: str, secret: str
) -> None:
    """Write the configuration of one node to `path`. Raises ValueError if the example has lost a value."""
    text = EXAMPLE.read_text(encoding="utf-8")
    replacements = {
        "\nport: 7880": f"\nport: {port}\nbind_addresses: [127.0.0.1]",
        "redis:6379": f"127.0.0.1:{redis_port}",
        "udp_port: 7882": f"udp_port: {udp_port}",
        "tcp_port: 7881": f"tcp_port: {tcp_port}",
        "use_external_ip: false": _LOOPBACK,
        EXAMPLE_SECRET: json.dumps(secret),
        "http://balancer:8080/livekit/webhook": webhook_url,
    }
    for old, new in replacements.items():
        if text.count(old) != 1:
            raise ValueError(f"{EXAMPLE} does not have {old.strip()!r} once")
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
