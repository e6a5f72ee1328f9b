"""Settings of the server and its HTTP doors: where and for whom it serves, what it keeps, which quotas hold.

Must not know how media is received (`config_media`).
"""

import re
from typing import Annotated, Any, Literal

import msgspec

from stagebook.config.rules import Rule, every, is_address, is_base_url, is_network, is_origin
from stagebook.stage.limits import Limits


class Credential(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An access key, the account it belongs to, and what its IAM-style policy document lets it do."""

    access_key_id: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_]{16,128}\Z")]
    secret_access_key: Annotated[str, msgspec.Meta(min_length=16, max_length=256)]
    account_id: Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{12}\Z")]
    policy: dict[str, Any]
    user_name: str = "stagebook"

    def __repr__(self) -> str:
        return f"Credential(access_key_id={self.access_key_id!r})"


def _are_overrides(value: dict[str, int]) -> bool:
    return set(value) <= set(Limits.__struct_fields__) and all(number >= 1 for number in value.values())


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The first part of `config.Settings`, which checks the values."""

    listen: Annotated[
        str,
        Rule(
            why="Where the API, WHIP, the events websocket and health are served.",
            rule="HOST:PORT, an IPv6 host in brackets, port 0 for any free one",
            unit="HOST:PORT",
            accepts=is_address,
        ),
    ] = "127.0.0.1:8080"
    data: Annotated[
        str, Rule(why="The folder of the book and the keys; made with mode 0700.", rule="a path", accepts=bool)
    ] = "./stagebook-data"
    public_url: Annotated[
        str | None,
        Rule(
            why="What clients reach the server by; stages and tokens carry it. Default: the listening address.",
            rule="an http or https URL without a trailing slash, query or user name",
            unit="URL",
            accepts=lambda value: value is None or is_base_url(value),
        ),
    ] = None
    region: Annotated[
        str,
        Rule(
            why="The region that ARNs carry and signatures must name.",
            rule="a region name such as us-west-2",
            accepts=lambda value: bool(re.fullmatch(r"[a-z0-9-]{1,32}", value)),
        ),
    ] = "us-west-2"
    account_id: Annotated[
        str,
        Rule(
            why="The account of the access key that the first start makes.",
            rule="12 digits",
            accepts=lambda value: bool(re.fullmatch(r"[0-9]{12}", value)),
        ),
    ] = "123456789012"
    auth: Annotated[
        Literal["on", "off"], Rule(why="Whether AWS requests must be signed. `off` is for test benches only.")
    ] = "on"
    credentials: Annotated[
        tuple[Credential, ...], Rule(why="Further access keys with their policies; in the TOML file only.")
    ] = ()
    allowed_origins: Annotated[
        tuple[str, ...],
        Rule(
            why="Web origins whose pages may call the AWS door from a browser (CORS); none by default.",
            rule="a list of origins such as https://app.example.com, or *",
            accepts=every(is_origin),
        ),
    ] = ()
    trusted_proxies: Annotated[
        tuple[str, ...],
        Rule(
            why="Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, and whose encoders are not taken "
            "for one; none by default.",
            rule="a list of IP addresses or networks",
            accepts=every(is_network),
        ),
    ] = ()
    whip_redirect: Annotated[
        bool, Rule(why="Answer `POST /` (the global WHIP path) by a 307 to {public_url}/whip, as AWS does.")
    ] = False
    quotas: Annotated[Literal["strict", "relaxed"], Rule(why="AWS's own quotas, or roomy ones for self-hosting.")] = (
        "relaxed"
    )
    quota_overrides: Annotated[
        dict[str, int],
        Rule(
            why="Single quotas that differ from the chosen edition.",
            rule=f"whole numbers of at least 1, named by {', '.join(Limits.__struct_fields__)}",
            accepts=_are_overrides,
        ),
    ] = {}
    session_linger_seconds: Annotated[
        float,
        Rule(
            why="How long a session outlives its last participant, so that a quick return continues it.",
            unit="seconds",
            minimum=0,
            maximum=3_600,
        ),
    ] = 1.0
    events_order: Annotated[
        Literal["newest_first", "oldest_first"], Rule(why="The order in which ListParticipantEvents answers.")
    ] = "newest_first"
    deleted_stage_history: Annotated[
        bool, Rule(why="Whether the sessions and events of deleted stages can still be read.")
    ] = False
    websocket_ping_seconds: Annotated[
        float, Rule(why="How often the events websocket is pinged.", unit="seconds", minimum=0.1, maximum=3_600)
    ] = 10.0
    websocket_timeout_seconds: Annotated[
        float,
        Rule(
            why="How long a ping of the events websocket may go unanswered before the peer counts as gone.",
            unit="seconds",
            minimum=0.1,
            maximum=3_600,
        ),
    ] = 15.0
