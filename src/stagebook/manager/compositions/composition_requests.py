"""The checks of StartComposition: what it names exists, the quotas allow it, and its idempotency token is new."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from stagebook.manager.compositions.composition_commands import composition_request
from stagebook.manager.compositions.known_compositions import KnownComposition, KnownCompositions
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.manager.tokens.authorization import Authorization
from stagebook.media.composition.composition_port import CompositionRequest
from stagebook.stage.arns import COMPOSITION, Arn
from stagebook.stage.clock import Randomness
from stagebook.stage.composition.composition import Composition, CompositionDestination
from stagebook.stage.composition.composition_input import (
    complete_destinations,
    complete_layout,
    encoder_configuration_arn,
)
from stagebook.stage.errors import (
    ConflictError,
    InvalidInputError,
    ResourceNotFoundError,
    ServiceQuotaExceededError,
)
from stagebook.stage.ids import new_destination_id
from stagebook.stage.input_rules import check_tags
from stagebook.stage.limits import Limits
from stagebook.stage.resources import EncoderConfiguration, StorageConfiguration
from stagebook.stage.room_stages import require_no_room

_encode = msgspec.json.Encoder(order="sorted").encode
_DIGEST_SIZE_BYTES = 16


class CompositionSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of StartComposition, with every default. Make it with `composition_spec`."""

    account_id: str
    stage_arn: str
    destinations: list[dict[str, Any]]
    layout: dict[str, Any]
    tags: dict[str, str]
    client_token: str | None

    @property
    def digest(self) -> str:
        """A digest of all parameters but the idempotency token."""
        parameters = (self.stage_arn, self.destinations, self.layout, self.tags)
        return hashlib.blake2b(_encode(parameters), digest_size=_DIGEST_SIZE_BYTES).hexdigest()


def composition_spec(account_id: str, request: Mapping[str, Any]) -> CompositionSpec:
    """Return the parameters of an input of StartComposition, with every default. Raises InvalidInputError."""
    tags = request.get("tags", {})
    check_tags(tags)
    return CompositionSpec(
        account_id=account_id,
        stage_arn=request["stageArn"],
        destinations=complete_destinations(request["destinations"]),
        layout=complete_layout(request.get("layout")),
        tags=tags,
        client_token=request.get("idempotencyToken"),
    )


class PreparedComposition(msgspec.Struct, frozen=True, kw_only=True):
    """A composition that may start. `channels_in_use` are its destinations whose channel another composition uses."""

    composition: Composition
    channels_in_use: tuple[str, ...]


class CompositionRequests:
    """Checks requests against what is known. `channel_url` is a `ChannelDirectory`."""

    def __init__(
        self,
        *,
        unit: UnitOfWork,
        authorization: Authorization,
        channel_url: Callable[[str], str | None],
        limits: Limits,
        region: str,
        randomness: Randomness,
    ) -> None:
        self.known = KnownCompositions()
        self._unit = unit
        self._authorization = authorization
        self._channel_url = channel_url
        self._limits = limits
        self._region = region
        self._randomness = randomness

    def repeated(self, spec: CompositionSpec) -> KnownComposition | None:
        """Return the composition that was started with the same idempotency token; None for a new token.

        Raises ConflictError if that one has other parameters.
        """
        if spec.client_token is None:
            return None
        known = self.known.with_token(spec.account_id, spec.client_token)
        if known is None or not known.composition.is_shown(self._unit.now().wall_ms):
            return None
        if known.composition.parameters != spec.digest:
            raise ConflictError("idempotencyToken was used to start a composition with other parameters")
        return known

    async def new_arn(self, spec: CompositionSpec) -> Arn:
        """Return an ARN for a new composition."""
        return await self._unit.new_arn(region=self._region, account_id=spec.account_id, resource_type=COMPOSITION)

    def prepare(
        self, spec: CompositionSpec, arn: Arn, *, is_served: bool, max_running: int | None
    ) -> PreparedComposition:
        """Return a new composition with this ARN. `max_running` is how many compositions of all accounts run at most.

        Raises ResourceNotFoundError, InvalidInputError and ServiceQuotaExceededError.
        """
        if self._authorization.is_being_deleted(spec.stage_arn) or self._unit.book.get_stage(spec.stage_arn) is None:
            raise ResourceNotFoundError(kind="stage", name=spec.stage_arn)
        require_no_room(spec.stage_arn, member="stageArn")
        if not is_served:
            raise InvalidInputError(member="destinations", rule="cannot be served: this server does not compose stages")
        for configuration in spec.destinations:
            self._require_resources(configuration)
        self._require_quotas(spec, max_running)
        composition = self._new_composition(spec, arn)
        in_use = tuple(
            each.destination_id
            for each in composition.destinations
            if each.channel_arn is not None and self._is_in_use(each.channel_arn)
        )
        return PreparedComposition(composition=composition, channels_in_use=in_use)

    def order(self, composition: Composition) -> CompositionRequest:
        """Return what the engine is told. The configurations exist as long as a composition that runs uses them."""
        encoders, bucket_names, channel_urls = {}, {}, {}
        for arn in composition.configuration_arns:
            match self._unit.pending.find(arn):
                case EncoderConfiguration() as found:
                    encoders[arn] = found
                case StorageConfiguration() as found:
                    bucket_names[arn] = found.bucket_name
        for destination in composition.destinations:
            if destination.channel_arn is not None:
                channel_urls[destination.channel_arn] = self._channel_url(destination.channel_arn) or ""
        return composition_request(composition, encoders=encoders, bucket_names=bucket_names, channel_urls=channel_urls)

    def _require_resources(self, configuration: Mapping[str, Any]) -> None:
        encoder_arn = encoder_configuration_arn(configuration)
        if encoder_arn is not None and not isinstance(self._unit.pending.find(encoder_arn), EncoderConfiguration):
            raise ResourceNotFoundError(kind="encoder configuration", name=encoder_arn)
        if "s3" in configuration:
            arn = configuration["s3"]["storageConfigurationArn"]
            if not isinstance(self._unit.pending.find(arn), StorageConfiguration):
                raise ResourceNotFoundError(kind="storage configuration", name=arn)
        elif self._channel_url(configuration["channel"]["channelArn"]) is None:
            raise ResourceNotFoundError(kind="channel", name=configuration["channel"]["channelArn"])

    def _require_quotas(self, spec: CompositionSpec, max_running: int | None) -> None:
        of_stage = len(self.known.of_stage(spec.stage_arn))
        if of_stage >= self._limits.compositions_per_stage:
            raise ServiceQuotaExceededError(
                quota="compositions of the stage", maximum=self._limits.compositions_per_stage
            )
        of_account = sum(each.composition.account_id == spec.account_id for each in self.known.running())
        if of_account >= self._limits.compositions:
            raise ServiceQuotaExceededError(quota="compositions", maximum=self._limits.compositions)
        if max_running is not None and sum(1 for _ in self.known.running()) >= max_running:
            raise ServiceQuotaExceededError(
                quota="compositions of the server (setting max_compositions)", maximum=max_running
            )

    def _is_in_use(self, channel_arn: str) -> bool:
        return any(
            destination.channel_arn == channel_arn and not destination.state.is_final
            for known in self.known.running()
            for destination in known.composition.destinations
        )

    def _new_composition(self, spec: CompositionSpec, arn: Arn) -> Composition:
        return Composition(
            arn=str(arn),
            account_id=spec.account_id,
            stage_arn=spec.stage_arn,
            start_ms=self._unit.now().wall_ms,
            layout=spec.layout,
            destinations=tuple(
                self._new_destination(each, f"{spec.stage_arn.rpartition('/')[2]}/{arn.resource_id}")
                for each in spec.destinations
            ),
            tags=spec.tags,
            client_token=spec.client_token,
            parameters=spec.digest,
        )

    def _new_destination(self, configuration: dict[str, Any], prefix: str) -> CompositionDestination:
        destination_id = new_destination_id(self._randomness)
        return CompositionDestination(
            destination_id=destination_id,
            configuration=configuration,
            recording_prefix=f"{prefix}/{destination_id}/composite" if "s3" in configuration else None,
        )
