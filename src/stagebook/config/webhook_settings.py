"""Settings of webhooks: the destinations that the operator defines, and the bounds of all deliveries."""

from typing import Annotated, Any, Literal

import msgspec

from stagebook.config.rules import Rule, every, is_network
from stagebook.config.server_settings import ServerSettings


class WebhookSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A webhook destination of the TOML file. The server translates it, and checks that its members fit together."""

    name: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_.-]{1,64}\Z")]
    target: str
    kind: Literal["http", "eventbridge", "sns", "sqs"] = "http"
    format: Literal["eventbridge", "cloudevents"] = "eventbridge"
    filter: dict[str, Any] = {}
    secret: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
    start_at: str = "now"

    def __repr__(self) -> str:
        return f"WebhookSetting(name={self.name!r})"


class WebhookSettings(ServerSettings, frozen=True, kw_only=True):
    """The second part of `Settings`. `Settings` checks the values."""

    webhooks: Annotated[
        tuple[WebhookSetting, ...],
        Rule(
            description="Webhook destinations; only in the TOML file.",
            requirement="a list of at most 50, each with a name of its own",
            accepts=lambda value: len({each.name for each in value}) == len(value) <= 50,
        ),
    ] = ()
    webhook_max_age_seconds: Annotated[
        int,
        Rule(
            description="Age at which an event whose delivery still fails becomes a dead letter.",
            unit="seconds",
            minimum=1,
            maximum=31_536_000,
        ),
    ] = 86_400
    webhook_timeout_seconds: Annotated[
        float,
        Rule(
            description="Timeout of one delivery, from the connection to the response.",
            unit="seconds",
            minimum=0.1,
            maximum=300,
        ),
    ] = 15.0
    webhook_denied_networks: Annotated[
        tuple[str, ...],
        Rule(
            description="Addresses that HTTP destinations must not have. Default: link-local addresses and "
            "the metadata services of cloud providers.",
            requirement="a list of IP addresses or networks",
            accepts=every(is_network),
        ),
    ] = ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "100.100.100.200/32")
