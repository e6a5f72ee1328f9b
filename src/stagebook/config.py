"""Every setting, once: its name, type, default, unit, rule and one line of why.

Owns what the settings are and what they mean together. Must not know where values come from (`config_sources`) nor
who uses them: nothing below the server imports this module.
"""

import re
from typing import Annotated, Any, Literal, get_type_hints

import msgspec

from stagebook.config_rules import (
    Address,
    ConfigError,
    Rule,
    every,
    is_address,
    is_base_url,
    is_ip,
    is_network,
    is_origin,
    parse_address,
)
from stagebook.stage.limits import EDITIONS, Limits


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


VIDEO_CODECS = ("H264", "VP8")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of a server. Cannot be built with a value that breaks its rule: ConfigError names it."""

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
            why="Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed; none by default.",
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
    connections_limit: Annotated[
        int,
        Rule(why="HTTP connections and requests at once; more are answered by 503.", minimum=16, maximum=1_000_000),
    ] = 20_000
    request_timeout_seconds: Annotated[
        float,
        Rule(why="How long a client may take to send one whole request.", unit="seconds", minimum=1, maximum=3_600),
    ] = 30.0
    keep_alive_seconds: Annotated[
        int,
        Rule(why="How long an idle HTTP connection stays open.", unit="seconds", minimum=1, maximum=3_600),
    ] = 65
    shutdown_timeout_seconds: Annotated[
        int,
        Rule(why="How long a clean end may wait for requests in flight.", unit="seconds", minimum=1, maximum=600),
    ] = 10
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Rule(why="The least grave line that is logged.")
    ] = "info"
    log_form: Annotated[Literal["text", "json"], Rule(why="Log lines for people or for machines.")] = "text"

    def __post_init__(self) -> None:
        """Check every value against its rule, and those that only make sense together."""
        for name, rule in RULES.items():
            refusal = rule.refusal(getattr(self, name))
            if refusal is not None:
                raise ConfigError(name=name, rule=refusal)
        if self.media_port + self.media_processes - 1 > 65_535:
            raise ConfigError(name="media_port", rule="leaves no room for one port for each engine process")
        keys = [credential.access_key_id for credential in self.credentials]
        if len(set(keys)) != len(keys):
            raise ConfigError(name="credentials", rule="each access_key_id must be there once")

    @property
    def address(self) -> Address:
        """Where to listen."""
        return parse_address(self.listen)

    @property
    def limits(self) -> Limits:
        """The chosen edition of the quotas with its overrides."""
        return msgspec.structs.replace(EDITIONS[self.quotas], **self.quota_overrides)


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table of settings."""

    name: str
    type: Any
    default: Any
    rule: Rule

    @property
    def flag(self) -> str:
        """The flag that sets it on the command line."""
        return f"--{self.name.replace('_', '-')}"


def _rules() -> dict[str, Rule]:
    hints = get_type_hints(Settings, include_extras=True)
    return {name: hints[name].__metadata__[0] for name in Settings.__struct_fields__}


def _table() -> dict[str, Setting]:
    types = get_type_hints(Settings)
    defaults = msgspec.structs.asdict(Settings())
    return {
        name: Setting(name=name, type=types[name], default=defaults[name], rule=rule) for name, rule in RULES.items()
    }


RULES = _rules()
SETTINGS = _table()
"""Every setting by name, in the order of the documentation."""
