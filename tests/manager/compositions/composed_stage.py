"""A stage with configurations and compositions on it, for the tests of the manager."""

from dataclasses import dataclass
from typing import Any

from stagebook.manager.compositions.composition_requests import composition_spec
from stagebook.stage.composition.composition import Composition
from stagebook.stage.resources import EncoderConfiguration, Stage, StorageConfiguration
from tests.manager.manager_harness import ACCOUNT, REGION, ManagerHarness

CHANNEL_ARN = f"arn:aws:ivs:{REGION}:{ACCOUNT}:channel/abcABCdefDEg"
CHANNELS = {CHANNEL_ARN: "rtmp://127.0.0.1/app/key"}
LAYOUT = {"grid": {"participantOrderAttribute": "order"}}


@dataclass
class ComposedStage:
    """A stage, an encoder configuration and a storage configuration."""

    harness: ManagerHarness
    stage: Stage
    encoder: EncoderConfiguration
    storage: StorageConfiguration

    @classmethod
    async def create(cls, harness: ManagerHarness) -> "ComposedStage":
        """Create all three."""
        configurations = harness.manager.configurations
        encoder = await configurations.create_encoder(
            account_id=ACCOUNT, tags={}, width=640, height=360, framerate=25.0, bitrate_bps=1_000_000
        )
        storage = await configurations.create_storage(account_id=ACCOUNT, tags={}, bucket_name="bucket")
        return cls(harness, await harness.stage(), encoder, storage)

    @property
    def bucket_destination(self) -> dict[str, Any]:
        return {"s3": {"storageConfigurationArn": self.storage.arn, "encoderConfigurationArns": [self.encoder.arn]}}

    @property
    def channel_destination(self) -> dict[str, Any]:
        return {"channel": {"channelArn": CHANNEL_ARN, "encoderConfigurationArn": self.encoder.arn}}

    async def compose(self, *destinations: dict[str, Any], **members: object) -> Composition:
        """Start a composition, by default into the bucket; return it once its engine was told."""
        request = {
            "stageArn": self.stage.arn,
            "destinations": list(destinations) or [self.bucket_destination],
            **members,
        }
        composition = await self.harness.manager.compositions.start(composition_spec(ACCOUNT, request))
        await self.harness.settled()
        return composition

    async def active(self, *destinations: dict[str, Any]) -> str:
        """Start a composition whose destinations start; return its id."""
        composition_id = (await self.compose(*destinations)).composition_id
        self.harness.composer.start_outputs(composition_id)
        await self.harness.settled()
        return composition_id

    def arn(self, composition_id: str) -> str:
        return f"arn:aws:ivs:{REGION}:{ACCOUNT}:composition/{composition_id}"

    def stored(self, composition_id: str) -> Composition:
        """Return what the book has of a composition."""
        composition = self.harness.book.compositions.find(self.arn(composition_id))
        assert composition is not None
        return composition

    def events(self, composition_id: str) -> list[str]:
        """Return the events of a composition in the book: NAME without its prefix, with :CODE if it has one."""
        page = self.harness.book.compositions.page_events(self.arn(composition_id), after=None, limit=100)
        return [
            each.event.name.value.removeprefix("COMPOSITION_")
            + (f":{each.event.error_code.value}" if each.event.error_code else "")
            for each in page.items
        ]

    async def pass_time(self, ms: int) -> None:
        """Let time pass, and decide what is due."""
        self.harness.clock.ms += ms
        self.harness.manager.tick()
        await self.harness.settled()
