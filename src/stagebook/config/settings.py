"""All settings of a server, and the table of them that the command line and the documentation are made from.

Each setting is declared once, with its name, type, default, unit, rule and description. The declarations are split into
eight classes: `ServerSettings`, `WebhookSettings`, `MediaSettings`, `RecordingSettings`, `CompositionSettings`,
`MediaEngineSettings`, `ClusterSettings` and, here, `Settings`. Only the server and the command line read settings. The
server passes each part the values that it needs (see `server/wiring.py` and `media_engine/media_process_settings.py`).
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_type_hints

import msgspec

from stagebook.config.cluster_settings import ClusterSettings
from stagebook.config.ice_server_setting import ice_server_violation
from stagebook.config.rules import Address, ConfigError, Rule, every, is_base_url, is_network, parse_address
from stagebook.stage.limits import EDITIONS, Limits


class Settings(ClusterSettings, frozen=True, kw_only=True):
    """All settings of a server. The constructor raises ConfigError for a value that violates its rule."""

    connections_limit: Annotated[
        int,
        Rule(
            description="Maximum number of HTTP connections and concurrent requests, of which one IP address may have "
            "half (see `trusted_proxies`). At the limit the oldest idle connection makes room; if none is idle, "
            "requests get 503.",
            minimum=16,
            maximum=1_000_000,
        ),
    ] = 20_000
    request_timeout_seconds: Annotated[
        float,
        Rule(description="Timeout for receiving a complete request.", unit="seconds", minimum=1, maximum=3_600),
    ] = 30.0
    keep_alive_seconds: Annotated[
        int,
        Rule(
            description="Time after which an idle HTTP connection is closed.", unit="seconds", minimum=1, maximum=3_600
        ),
    ] = 65
    shutdown_timeout_seconds: Annotated[
        int,
        Rule(
            description="Time that a clean shutdown waits for requests in progress.",
            unit="seconds",
            minimum=1,
            maximum=600,
        ),
    ] = 10
    metrics_networks: Annotated[
        tuple[str, ...],
        Rule(
            description="Clients that may read `/metrics` without a key. An empty list requires a key of everyone.",
            requirement="a list of IP addresses or networks",
            accepts=every(is_network),
        ),
    ] = ("127.0.0.0/8", "::1")
    otlp_endpoint: Annotated[
        str | None,
        Rule(
            description="Base URL of the OTLP/HTTP receiver of traces. Default: what the variable "
            "OTEL_EXPORTER_OTLP_ENDPOINT says. Needs the extra `telemetry`.",
            requirement="an http or https URL without a trailing slash, query or user name",
            unit="URL",
            accepts=lambda value: value is None or is_base_url(value),
        ),
    ] = None
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Rule(description="Minimum log level.")] = "info"
    log_form: Annotated[Literal["text", "json"], Rule(description="Format of log lines: logfmt text or JSON.")] = "text"

    def __post_init__(self) -> None:
        """Check every value against its rule, then the combinations of values."""
        for name, rule in RULES.items():
            violation = rule.violation(getattr(self, name))
            if violation is not None:
                raise ConfigError(name=name, rule=violation)
        for name, violation in self._conflicts():
            raise ConfigError(name=name, rule=violation)

    def _conflicts(self) -> Iterator[tuple[str, str]]:
        """Yield each setting that conflicts with another one, and what is required."""
        if self.media_port + self.media_processes - 1 > 65_535:
            yield "media_port", "must leave one port up to 65535 for each engine process"
        if violation := ice_server_violation(self.ice_servers):
            yield "ice_servers", violation
        keys = [credential.access_key_id for credential in self.credentials]
        if len(set(keys)) != len(keys):
            yield "credentials", "must not contain an access_key_id more than once"
        if (self.rtmps_certificate is None) != (self.rtmps_private_key is None):
            yield "rtmps_certificate", "must be set together with rtmps_private_key: set both or none"
        yield from self._storage_conflicts()
        yield from self._channel_conflicts()
        yield from self._media_engine_conflicts()
        yield from self._cluster_conflicts()
        for name in self.retention_overrides:
            if name.startswith("arn:") and name.split(":")[3] != self.region:
                yield "retention_overrides", f"must name stages of the server's region, {self.region}"
        for scheme in ("rtmp", "rtmps"):
            if getattr(self, f"{scheme}_public_url") is not None and not getattr(self, f"{scheme}_listen"):
                yield f"{scheme}_public_url", f"needs {scheme}_listen, which is switched off"

    @property
    def address(self) -> Address:
        """The address of the HTTP server."""
        return parse_address(self.listen)

    @property
    def rtmp_address(self) -> Address | None:
        """The address of the RTMP server; None if it is switched off."""
        return parse_address(self.rtmp_listen) if self.rtmp_listen else None

    @property
    def rtmps_address(self) -> Address | None:
        """The address of the RTMPS server; None if it is switched off."""
        return parse_address(self.rtmps_listen) if self.rtmps_listen else None

    @property
    def tcp_media_port(self) -> int | None:
        """The TCP port of media, 0 for a free one; None if media passes over UDP alone."""
        if not self.media_tcp:
            return None
        return self.media_port if self.media_tcp_port is None else self.media_tcp_port

    @property
    def limits(self) -> Limits:
        """The quotas: the chosen edition with the overrides applied."""
        return msgspec.structs.replace(EDITIONS[self.quotas], **self.quota_overrides)


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """A setting as the command line and the documentation describe it."""

    name: str
    type: Any
    default: Any
    rule: Rule

    @property
    def flag(self) -> str:
        """The flag of the command line, for example `--media-port`."""
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


ENVIRONMENT_SECRETS = frozenset({"cluster_secret", "database_url", "livekit_api_secret"})
"""Settings that are a secret by themselves or contain one, and may be set in the environment."""
SECRET_SETTINGS = ENVIRONMENT_SECRETS | {
    "channels",
    "credentials",
    "ice_servers",
    "storage_s3_secret_access_key",
    "webhooks",
}
"""Settings that hold secrets: they can be set in the TOML file only, except ENVIRONMENT_SECRETS."""
RULES = _rules()
SETTINGS = _table()
"""Every setting by name, in the order of its declaration."""
