"""The messages between the server and an engine process, in addition to those of every worker (`worker_messages`).

    server                                     engine process
      | -- StartEngine ------------------------> |
      | <- EngineRunning ----------------------- |   or StartFailed
      | -- PublishRequest, SubscribeRequest ---> |
      | <- OfferAnswered ----------------------- |   or RequestRefused; so for the others
      | -- PatchRequest -----------------------> |
      | <- FragmentAnswered -------------------- |
      | -- LayersRequest ----------------------> |
      | <- LayersListed ------------------------ |
      | -- SelectLayerRequest -----------------> |
      | <- LayerSelected ----------------------- |
      | -- StatisticsRequest ------------------> |
      | <- ConnectionsMeasured ----------------- |
      | -- OpenFeedRequest --------------------> |
      | <- FeedOpened -------------------------- |
      | -- DescribeSourceRequest --------------> |   of the source's own engine
      | <- SourceDescribed --------------------- |
      | -- AcceptRelayRequest -----------------> |   to another engine, for viewers of that source
      | <- FeedOpened -------------------------- |
      | -- StartRelayCommand ------------------> |   to the source's own engine; no reply
      | -- CloseCommand, EndSourceCommand -----> |   no reply
      | <- StatisticsReported ------------------ |   every STATISTICS_INTERVAL_SECONDS

Commands are carried out in the order in which they are sent, and reports arrive in the order in which they are sent. So
all facts of a connection arrive after the reply that opened it.
"""

import asyncio
from typing import TypeAlias

import msgspec

from stagebook.media.connection_statistics import ConnectionStatistics
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import Answer, InitialLayer, LayerChoice, PatchAnswer, VideoLayers
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.rtc.sfu.relay.relay_messages import SourceDescription
from stagebook.media.rtc.sfu.statistics.engine_statistics import EngineStatistics
from stagebook.media.worker.framing import MessageReader
from stagebook.media.worker.worker_messages import (
    MAX_CONTROL_BYTES,
    Command,
    CommonCommand,
    FactReported,
    Heartbeat,
    Logged,
    Reply,
    Report,
    Request,
    RequestRefused,
    StartFailed,
)


class TcpDescriptors(msgspec.Struct, frozen=True, kw_only=True):
    """The file descriptors of the sockets of TCP, which the process inherits."""

    listeners: tuple[int, ...]
    inbox: int
    """The socket through which other engines hand connections over."""
    outboxes: dict[int, int]
    """Those of the other engines, by their number."""


class StartEngine(Command, frozen=True, kw_only=True):
    """The first command."""

    settings: EngineSettings
    tcp: TcpDescriptors | None = None
    """None for media over UDP alone."""


class PublishRequest(Request, frozen=True, kw_only=True):
    """MediaEngine.publish."""

    source_id: str
    offer: str


class SubscribeRequest(Request, frozen=True, kw_only=True):
    """MediaEngine.subscribe."""

    source_id: str
    offer: str
    initial_layer: InitialLayer | None = None


class PatchRequest(Request, frozen=True, kw_only=True):
    """MediaEngine.patch."""

    fragment: str
    ice_session: str | None


class LayersRequest(Request, frozen=True, kw_only=True):
    """MediaEngine.layers."""


class SelectLayerRequest(Request, frozen=True, kw_only=True):
    """MediaEngine.select_layer."""

    choice: LayerChoice


class OpenFeedRequest(Request, frozen=True, kw_only=True):
    """Allow an encoder's connection to feed a source (`Forwarder.open_feed`)."""

    source_id: str
    is_redundant: bool


class DescribeSourceRequest(Request, frozen=True, kw_only=True):
    """Describe a source for another engine or a tap (`Forwarder.describe_source`)."""

    source_id: str
    feed_id: str | None = None


class AcceptRelayRequest(Request, frozen=True, kw_only=True):
    """Accept the relay of a source from another engine (`Forwarder.accept_relay`)."""

    source_id: str
    description: SourceDescription


class StartRelayCommand(Command, frozen=True, kw_only=True):
    """Relay a source to the engine, or to the process with the tap, that has accepted it."""

    source_id: str
    ticket: FeedTicket
    is_tap: bool = False
    feed_id: str | None = None
    """The connection id of the one encoder to relay; None for what viewers see."""


class StatisticsRequest(Request, frozen=True, kw_only=True):
    """MediaEngine.statistics, for connections of this engine."""

    connection_ids: tuple[str, ...]


class CloseCommand(Command, frozen=True, kw_only=True):
    """MediaEngine.close."""

    connection_id: str
    as_failure: bool = False


class EndSourceCommand(Command, frozen=True, kw_only=True):
    """MediaEngine.end_source."""

    source_id: str


class EngineRunning(Report, frozen=True, kw_only=True):
    """The sockets are bound."""

    udp_port: int


class OfferAnswered(Reply, frozen=True, kw_only=True):
    """The answer to the offer of a PublishRequest or SubscribeRequest."""

    answer: Answer


class FragmentAnswered(Reply, frozen=True, kw_only=True):
    """The answer to the fragment of a PatchRequest."""

    answer: PatchAnswer


class LayersListed(Reply, frozen=True, kw_only=True):
    """The layers for a LayersRequest."""

    layers: VideoLayers


class LayerSelected(Reply, frozen=True, kw_only=True):
    """The choice of a SelectLayerRequest holds."""


class FeedOpened(Reply, frozen=True, kw_only=True):
    """The ticket for an OpenFeedRequest or an AcceptRelayRequest."""

    ticket: FeedTicket


class SourceDescribed(Reply, frozen=True, kw_only=True):
    """The description for a DescribeSourceRequest."""

    description: SourceDescription


class ConnectionsMeasured(Reply, frozen=True, kw_only=True):
    """The open ones of the connections of a StatisticsRequest."""

    connections: tuple[ConnectionStatistics, ...]


class StatisticsReported(Report, frozen=True, kw_only=True):
    """What the engine has done since its start. Dropped while the server does not read."""

    statistics: EngineStatistics


OpeningRequest: TypeAlias = PublishRequest | SubscribeRequest | OpenFeedRequest
"""The requests that open a connection. The others are about an open one."""
EngineRequest: TypeAlias = (
    OpeningRequest
    | PatchRequest
    | LayersRequest
    | SelectLayerRequest
    | StatisticsRequest
    | DescribeSourceRequest
    | AcceptRelayRequest
)
EngineReply: TypeAlias = (
    OfferAnswered
    | FragmentAnswered
    | LayersListed
    | LayerSelected
    | ConnectionsMeasured
    | FeedOpened
    | SourceDescribed
    | RequestRefused
)

EngineCommand: TypeAlias = (
    StartEngine | EngineRequest | StartRelayCommand | CloseCommand | EndSourceCommand | CommonCommand
)
EngineReport: TypeAlias = (
    EngineRunning | StartFailed | EngineReply | FactReported | StatisticsReported | Heartbeat | Logged
)

_commands: MessageReader[EngineCommand] = MessageReader(
    msgspec.msgpack.Decoder(EngineCommand), max_bytes=MAX_CONTROL_BYTES
)
_reports: MessageReader[EngineReport] = MessageReader(
    msgspec.msgpack.Decoder(EngineReport), max_bytes=MAX_CONTROL_BYTES
)


async def receive_command(reader: asyncio.StreamReader) -> EngineCommand:
    """Read the next command. Raises BrokenStreamError."""
    return await _commands.next(reader)


async def receive_report(reader: asyncio.StreamReader) -> EngineReport:
    """Read the next report. Raises BrokenStreamError."""
    return await _reports.next(reader)
