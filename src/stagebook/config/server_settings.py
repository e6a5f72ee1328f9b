"""Settings of the HTTP server and its APIs, the data folder, access control, quotas and sessions."""

import re
from typing import Annotated, Any, Literal

import msgspec

from stagebook.config.rules import Rule, every, is_address, is_base_url, is_network, is_origin
from stagebook.stage.limits import Limits


class CredentialSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An access key of the TOML file, its account, and its IAM policy document.

    The server translates it to an `AwsCredential` of `api/access/sigv4`, and parses the policy.
    """

    access_key_id: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_]{16,128}\Z")]
    secret_access_key: Annotated[str, msgspec.Meta(min_length=16, max_length=256)]
    account_id: Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{12}\Z")]
    policy: dict[str, Any]
    user_name: str = "stagebook"
    session_token: Annotated[str, msgspec.Meta(max_length=4_096)] = ""

    def __repr__(self) -> str:
        return f"CredentialSetting(access_key_id={self.access_key_id!r})"


RETENTION_MAXIMUM_DAYS = 36_500
_RETENTION_NAME = re.compile(r"[0-9]{12}|arn:aws:ivs:[a-z0-9-]+:[0-9]{12}:stage/[A-Za-z0-9-]+")


def _are_retention_days(value: dict[str, int]) -> bool:
    return all(_RETENTION_NAME.fullmatch(name) and 0 <= days <= RETENTION_MAXIMUM_DAYS for name, days in value.items())


def _are_overrides(value: dict[str, int]) -> bool:
    return set(value) <= set(Limits.__struct_fields__) and all(number >= 1 for number in value.values())


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The first part of `Settings`. `Settings` checks the values."""

    listen: Annotated[
        str,
        Rule(
            description="Address of the HTTP server, which serves the AWS API, WHIP, the events websocket and health.",
            requirement="HOST:PORT, an IPv6 host in brackets, port 0 for any free one",
            unit="HOST:PORT",
            accepts=is_address,
        ),
    ] = "127.0.0.1:8080"
    data: Annotated[
        str,
        Rule(
            description="Folder of the book and the keys; created with mode 0700.", requirement="a path", accepts=bool
        ),
    ] = "./stagebook-data"
    public_url: Annotated[
        str | None,
        Rule(
            description="Base URL for clients, part of stages and tokens. Default: the `listen` address.",
            requirement="an http or https URL without a trailing slash, query or user name",
            unit="URL",
            accepts=lambda value: value is None or is_base_url(value),
        ),
    ] = None
    region: Annotated[
        str,
        Rule(
            description="AWS region of ARNs and signatures.",
            requirement="a region name such as us-west-2",
            accepts=lambda value: bool(re.fullmatch(r"[a-z0-9-]{1,32}", value)),
        ),
    ] = "us-west-2"
    account_id: Annotated[
        str,
        Rule(
            description="Account of the access key that the first start creates.",
            requirement="12 digits",
            accepts=lambda value: bool(re.fullmatch(r"[0-9]{12}", value)),
        ),
    ] = "123456789012"
    auth: Annotated[
        Literal["on", "off"], Rule(description="Whether AWS requests must be signed. `off` is for tests only.")
    ] = "on"
    credentials: Annotated[
        tuple[CredentialSetting, ...],
        Rule(description="Further access keys with their policies; only in the TOML file."),
    ] = ()
    allowed_origins: Annotated[
        tuple[str, ...],
        Rule(
            description="Web origins whose pages may call the AWS API from a browser (CORS). Default: none.",
            requirement="a list of origins such as https://app.example.com, or *",
            accepts=every(is_origin),
        ),
    ] = ()
    trusted_proxies: Annotated[
        tuple[str, ...],
        Rule(
            description="Proxies whose X-Forwarded-For and X-Forwarded-Proto headers are trusted, and whose "
            "connections are exempt from the limits per address. Default: none.",
            requirement="a list of IP addresses or networks",
            accepts=every(is_network),
        ),
    ] = ()
    whip_redirect: Annotated[
        bool,
        Rule(
            description="Answer `POST /` (the global WHIP path) with a 307 redirect to {public_url}/whip, as AWS does."
        ),
    ] = False
    quotas: Annotated[
        Literal["strict", "relaxed"],
        Rule(
            description="Edition of the quotas: those of AWS (`strict`), or higher ones for self-hosting (`relaxed`)."
        ),
    ] = "relaxed"
    quota_overrides: Annotated[
        dict[str, int],
        Rule(
            description="Quotas that differ from the chosen edition.",
            requirement=f"whole numbers of at least 1, named by {', '.join(Limits.__struct_fields__)}",
            accepts=_are_overrides,
        ),
    ] = {}
    session_linger_seconds: Annotated[
        float,
        Rule(
            description="Time that a session stays open after its last participant left. A new join continues it.",
            unit="seconds",
            minimum=0,
            maximum=3_600,
        ),
    ] = 1.0
    events_order: Annotated[
        Literal["newest_first", "oldest_first"],
        Rule(description="Order of the events that ListParticipantEvents returns."),
    ] = "newest_first"
    deleted_stage_history: Annotated[
        bool, Rule(description="Whether the sessions and events of deleted stages can be read.")
    ] = False
    watch_processes: Annotated[
        int,
        Rule(
            description="Largest number of history processes, which serve the reads of the watch API. They start when "
            "they are needed.",
            minimum=1,
            maximum=16,
        ),
    ] = 2
    watch_streams_limit: Annotated[
        int,
        Rule(
            description="Maximum number of open event streams. One account may have three quarters of them, and one "
            "key half of them. Further ones get 429 or 503.",
            minimum=2,
            maximum=100_000,
        ),
    ] = 2_000
    watch_heartbeat_seconds: Annotated[
        float,
        Rule(
            description="Interval of the comments that keep an event stream open while there are no events, and of the "
            "checks of its credentials.",
            unit="seconds",
            minimum=0.1,
            maximum=60,
        ),
    ] = 15.0
    retention_days: Annotated[
        int,
        Rule(
            description="Age in days, counted from the end of a session, at which it is deleted with its events. "
            "0 keeps everything for ever.",
            minimum=0,
            maximum=RETENTION_MAXIMUM_DAYS,
        ),
    ] = 0
    retention_overrides: Annotated[
        dict[str, int],
        Rule(
            description="Ages in days that differ from `retention_days`, by account id or stage ARN.",
            requirement=f"whole numbers of days from 0 (for ever) to {RETENTION_MAXIMUM_DAYS}, named by account ids of "
            "12 digits or stage ARNs",
            accepts=_are_retention_days,
        ),
    ] = {}
    websocket_ping_seconds: Annotated[
        float,
        Rule(description="Interval between pings on the events websocket.", unit="seconds", minimum=0.1, maximum=3_600),
    ] = 10.0
    websocket_timeout_seconds: Annotated[
        float,
        Rule(
            description="Time without an answer to a ping after which the events websocket is closed.",
            unit="seconds",
            minimum=0.1,
            maximum=3_600,
        ),
    ] = 15.0
