"""Every setting, once: its name, type, default, unit, rule and one line of why.

Owns what the settings are and what they mean together. Must not know where values come from (`config_sources`) nor
who uses them: nothing below the server imports this module.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_type_hints

import msgspec

from stagebook.config.media_settings import MediaSettings
from stagebook.config.rules import Address, ConfigError, Rule, parse_address
from stagebook.stage.limits import EDITIONS, Limits


class Settings(MediaSettings, frozen=True, kw_only=True):
    """All settings of a server. Cannot be built with a value that breaks its rule: ConfigError names it."""

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
        for name, broken in self._contradictions():
            raise ConfigError(name=name, rule=broken)

    def _contradictions(self) -> Iterator[tuple[str, str]]:
        """Yield each setting that does not fit the others, with the rule it breaks."""
        if self.media_port + self.media_processes - 1 > 65_535:
            yield "media_port", "leaves no room for one port for each engine process"
        keys = [credential.access_key_id for credential in self.credentials]
        if len(set(keys)) != len(keys):
            yield "credentials", "each access_key_id must be there once"
        if (self.rtmps_certificate is None) != (self.rtmps_private_key is None):
            yield "rtmps_certificate", "goes with rtmps_private_key: set both or none"
        for door in ("rtmp", "rtmps"):
            if getattr(self, f"{door}_public_url") is not None and not getattr(self, f"{door}_listen"):
                yield f"{door}_public_url", f"needs {door}_listen, which is switched off"

    @property
    def address(self) -> Address:
        """Where to listen."""
        return parse_address(self.listen)

    @property
    def rtmp_address(self) -> Address | None:
        """Where to listen for RTMP, if at all."""
        return parse_address(self.rtmp_listen) if self.rtmp_listen else None

    @property
    def rtmps_address(self) -> Address | None:
        """Where to listen for RTMPS, if at all."""
        return parse_address(self.rtmps_listen) if self.rtmps_listen else None

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
