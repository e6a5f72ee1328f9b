"""The wiring of webhooks: the destinations of the settings, the delivery process, and the operations on webhooks."""

import msgspec

from stagebook.book.book_source import BookSource
from stagebook.config.rules import ConfigError
from stagebook.config.settings import Settings
from stagebook.data_folder.secrets import DataFolder
from stagebook.server.system_clock import SystemClock, SystemRandomness
from stagebook.stage.clock import Clock
from stagebook.stage.errors import StagebookError
from stagebook.webhooks.delivery.delivery_messages import DeliverySettings
from stagebook.webhooks.delivery.delivery_process import WebhookDelivery
from stagebook.webhooks.webhook_service import NewDestination, WebhookService


def webhook_service(
    folder: DataFolder, source: BookSource, *, secret: bytes, event_clock: Clock | None = None
) -> WebhookService:
    """Return the operations on the webhooks of a book.

    `secret` seals the secrets of destinations. `event_clock` is the clock of new events, by default the machine's.
    """
    return WebhookService(
        source=source,
        file_path=folder.webhook_path,
        secret=secret,
        randomness=SystemRandomness(),
        now_ms=SystemClock().now_ms,
        event_now_ms=None if event_clock is None else event_clock.now_ms,
    )


def use_webhook_settings(settings: Settings, service: WebhookService, *, account_id: str) -> None:
    """Make the destinations of the settings. Raises ConfigError, which names the destination and the member."""
    configured = []
    for setting in settings.webhooks:
        try:
            new = msgspec.convert(
                {_camel(name): value for name, value in msgspec.structs.asdict(setting).items() if value is not None},
                NewDestination,
            )
            service.check(account_id, new)
        except (StagebookError, msgspec.ValidationError) as error:
            raise ConfigError(name="webhooks", rule=f"{setting.name}: {error}") from error
        configured.append(new)
    service.use_settings(account_id, configured)


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def build_webhook_delivery(
    settings: Settings, folder: DataFolder, source: BookSource, *, secret: bytes, run_id: int | None
) -> WebhookDelivery:
    """Return the delivery process, not started yet. `run_id` is the run of the node, for a book in a database."""
    return WebhookDelivery(
        source=source,
        file_path=folder.webhook_path,
        secret=secret,
        run_id=run_id,
        settings=DeliverySettings(
            timeout_seconds=settings.webhook_timeout_seconds,
            max_age_ms=settings.webhook_max_age_seconds * 1_000,
            denied_networks=settings.webhook_denied_networks,
        ),
    )
