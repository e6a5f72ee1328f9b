"""Admits encoders by the stream key of an ingest configuration that is attached to a stage.

Source: user guide, "RTMP Publishing"; API reference, IngestConfiguration and EventErrorCode. The checks, in this order;
the first that fails refuses:

1. The key names a configuration that is attached to a stage. If not, the refusal is counted and logged, and is no
   event, because there is no participant.
2. The book keeps up. If not, there is no event either.
3. The secret of the key is right (else INVALID_STREAM_KEY, of the configuration's participant), the protocol is allowed
   (INVALID_PROTOCOL), the key is not in use (REUSE_OF_STREAM_KEY), and the quotas allow it (QUOTA_EXCEEDED).

An encoder that passes is JOINED, durably, before the ingest process admits it, so that every later report finds its
participant. Encoders retry by themselves, so only some of their refusals are recorded (`encoder_rate_limit.py`).
Stream keys are compared in constant time and never logged. The log lines about refusals are limited, because a client
without a key can cause any number of them.
"""

import asyncio
import hmac

import structlog

from stagebook.book.book_errors import BookFailedError
from stagebook.error_traceback import drop_traceback
from stagebook.log_rate_limit import LogRateLimit
from stagebook.manager.participants.encoder_rate_limit import ADMITTED_PER_MINUTE, EncoderRateLimit
from stagebook.manager.session.session_registry import Route
from stagebook.manager.session.transaction import Transaction
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.manager.tokens.authorization import Authorization
from stagebook.media.port import IngestAsked, MediaEngine, MediaRefusedError, RefusalReason
from stagebook.stage.claims import Claims, ingest_claims
from stagebook.stage.clock import Randomness
from stagebook.stage.errors import (
    AttemptRefusedError,
    ServerBusyError,
    StagebookError,
    StreamKeyUnknownError,
)
from stagebook.stage.events import Cause, ErrorCode
from stagebook.stage.ids import new_connection_id, new_source_id
from stagebook.stage.resources import ClientInfo, IngestConfiguration, ParticipantProtocol
from stagebook.stage.session.orders import AskEngine
from stagebook.stage.session.session_facts import (
    AttemptRefused,
    ConnectionEnded,
    ConnectionFailed,
    EncoderRequested,
    SessionFact,
)
from stagebook.stage.session.session_state import Session
from stagebook.stage.stream_keys import configuration_of_stream_key

_log = structlog.get_logger(__name__)

_ENDED = "the stream was ended while it began"


class RtmpJoin:
    """Answers the encoders that ask to be admitted."""

    def __init__(
        self, *, unit: UnitOfWork, media: MediaEngine, authorization: Authorization, randomness: Randomness
    ) -> None:
        self.unknown_stream_keys = 0
        self._unit = unit
        self._media = media
        self._authorization = authorization
        self._randomness = randomness
        self._refusals = EncoderRateLimit()
        self._admissions = EncoderRateLimit(per_minute=ADMITTED_PER_MINUTE)
        self._log_limit = LogRateLimit(clock=lambda: unit.now().monotonic_ms / 1_000)
        self._answers: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    def on_asked(self, ask: IngestAsked) -> None:
        """Answer an encoder in a task of its own: the engine's listener must not wait for the book."""
        task = asyncio.get_running_loop().create_task(self._answer(ask))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    def stop(self) -> None:
        """Refuse all encoders from now on."""
        self._is_stopping = True

    async def settled(self) -> None:
        """Wait until each encoder that has asked so far is answered."""
        while self._answers:
            await asyncio.gather(*self._answers, return_exceptions=True)

    async def _answer(self, ask: IngestAsked) -> None:
        try:
            if self._is_stopping:
                raise ServerBusyError("the server is stopping")
            await self._join(ask)
        except StagebookError as error:
            drop_traceback(error)
            detail = f"{_code_of(error).value}: {error}"
            self.unknown_stream_keys += isinstance(error, StreamKeyUnknownError)
            named = configuration_of_stream_key(ask.stream_key)
            # Any client can cause this line, so it is limited for each error code.
            if (more := self._log_limit.admit(_code_of(error).value)) is not None:
                named_text = str(named or "")
                _log.info(
                    "encoder refused", address=ask.remote_address, configuration=named_text, reason=detail, **more
                )
            await self._refuse(ask, detail)
        except BookFailedError:
            # The server stops and ends the ingest processes, which close the encoder's connection.
            _log.warning("encoder not answered: the book failed", address=ask.remote_address)

    async def _refuse(self, ask: IngestAsked, detail: str) -> None:
        """Refuse the encoder in the ingest process.

        `is_wrong_key` makes the server count a guess of a key against the encoder's address. An encoder that
        is refused for another reason has a valid key and is not guessing.
        """
        configuration = self._configuration_named_by(ask.stream_key)
        is_wrong_key = configuration is None or _participant_of(configuration, ask.stream_key) is None
        await self._media.refuse_ingest(ask_id=ask.ask_id, detail=detail, is_wrong_key=is_wrong_key)

    async def _join(self, ask: IngestAsked) -> None:
        """Let the encoder's participant join and the ingest process admit it.

        Raises StagebookError. A refusal of an identified participant is recorded as an event before it is raised.
        """
        self._unit.require_capacity()
        await self._prepare(ask.stream_key)
        configuration = self._attached(ask.stream_key)
        participant_id = _participant_of(configuration, ask.stream_key)
        protocol = ParticipantProtocol.RTMPS if ask.is_secure else ParticipantProtocol.RTMP
        claims = ingest_claims(
            configuration, participant_id=participant_id or configuration.participant_id, protocol=protocol
        )
        session = self._unit.session_of(self._authorization.authorize(claims))
        fact = self._fact(ask, configuration, claims, session, is_right_key=participant_id is not None)
        transaction = self._unit.begin()
        refusal = transaction.apply(session, fact)
        if refusal is None and isinstance(fact, EncoderRequested):
            self._count_admission(configuration.arn)  # if it raises, the transaction has no effect
        await self._commit(transaction, claims, refusal)
        # Here JOINED is durable. A refusal was raised by `_commit`.
        if isinstance(fact, EncoderRequested):
            await self._admit(ask, transaction, fact)

    async def _prepare(self, stream_key: str) -> None:
        """Fetch what the arrival of an encoder reads of the past. Raises StreamKeyUnknownError."""
        entry: tuple[str, str] | None = None
        # The configuration can be attached to another stage meanwhile.
        while entry != (entry := self._entry(stream_key)):
            await self._unit.entries.prepare(entry)

    def _entry(self, stream_key: str) -> tuple[str, str]:
        """Return the stage's ARN and the id of the participant that an encoder with this key is."""
        configuration = self._attached(stream_key)
        return configuration.stage_arn, _participant_of(configuration, stream_key) or configuration.participant_id

    def _attached(self, stream_key: str) -> IngestConfiguration:
        """Return the configuration that a key names. Raises StreamKeyUnknownError if it is not attached to a stage."""
        configuration = self._configuration_named_by(stream_key)
        # A configuration whose stage was deleted is not attached.
        if configuration is None or not self._authorization.has_stage(configuration.stage_arn):
            raise StreamKeyUnknownError
        return configuration

    def _count_admission(self, configuration_arn: str) -> None:
        """Count an admission; raise ServerBusyError if its configuration has had too many, which makes no event."""
        if not self._admissions.take(configuration_arn, None, now_ms=self._unit.now().monotonic_ms):
            raise ServerBusyError(f"its encoders connect more than {ADMITTED_PER_MINUTE} times a minute")

    def _fact(
        self,
        ask: IngestAsked,
        configuration: IngestConfiguration,
        claims: Claims,
        session: Session,
        *,
        is_right_key: bool,
    ) -> AttemptRefused | EncoderRequested:
        """Return the fact to decide: a refusal by key or protocol, or else a request.

        The key comes first: a client that does not have the whole key must not learn which protocol is allowed.
        """
        known = self._unit.entries.known_record(session, claims.participant_id)
        code, detail = ErrorCode.INVALID_STREAM_KEY, _wrong_key(configuration, ask.stream_key)
        if is_right_key:
            if ask.is_secure or configuration.insecure_ingest:
                return EncoderRequested(
                    connection_id=new_connection_id(self._randomness),
                    source_id=new_source_id(configuration.account_id, self._randomness),
                    publisher_id=configuration.participant_id,
                    claims=claims,
                    client=ClientInfo(),
                    known=known,
                )
            code = ErrorCode.INVALID_PROTOCOL
            detail = "this ingest configuration takes RTMPS only (insecureIngest is false)"
        return AttemptRefused(
            claims=claims, client=ClientInfo(), failure="PUBLISH_ERROR", code=code, detail=detail, known=known
        )

    async def _commit(self, transaction: Transaction, claims: Claims, refusal: StagebookError | None) -> None:
        """Commit an arrival, or raise a refusal; a refusal above the rate limit is not recorded."""
        if isinstance(refusal, AttemptRefusedError) and claims.ingest is not None:
            now_ms = self._unit.now().monotonic_ms
            if not self._refusals.take(claims.ingest.configuration_arn, refusal.code, now_ms=now_ms):
                raise refusal
        await self._unit.wait(transaction.commit())
        if refusal is not None:
            raise refusal

    async def _admit(self, ask: IngestAsked, transaction: Transaction, fact: EncoderRequested) -> None:
        """Let the ingest process admit the encoder.

        The connection can end before the engine knows it, and while the engine takes it: it is then closed here.
        """
        connection_id = fact.connection_id
        if connection_id not in self._unit.registry.routes:
            await self._refuse(ask, _ENDED)
            return
        source_id = next(order.source_id for _, order in transaction.orders if isinstance(order, AskEngine))
        is_redundant = fact.publisher_id != fact.claims.participant_id
        with self._unit.dispatcher.holding(source_id):
            try:
                await self._media.ingest(
                    ask_id=ask.ask_id, connection_id=connection_id, source_id=source_id, is_redundant=is_redundant
                )
            except MediaRefusedError as error:
                await self._not_admitted(ask, connection_id, error)
            else:
                if connection_id not in self._unit.registry.routes:
                    await self._media.close(connection_id=connection_id)

    async def _not_admitted(self, ask: IngestAsked, connection_id: str, error: MediaRefusedError) -> None:
        """Record that the engine did not take an encoder that has joined, and refuse the encoder."""
        route = self._unit.registry.routes.get(connection_id)
        if route is None:
            await self._refuse(ask, _ENDED)
            return
        fact = _not_admitted_fact(route, connection_id, error)
        _, durable = self._unit.apply(self._unit.registry.sessions[route.stage_arn], fact)
        await self._unit.wait(durable)
        await self._refuse(ask, f"{ErrorCode.INTERNAL_SERVER_EXCEPTION.value}: {error.detail}")

    def _configuration_named_by(self, stream_key: str) -> IngestConfiguration | None:
        named = configuration_of_stream_key(stream_key)
        found = None if named is None else self._unit.pending.find(str(named))
        return found if isinstance(found, IngestConfiguration) else None


def _not_admitted_fact(route: Route, connection_id: str, error: MediaRefusedError) -> SessionFact:
    if error.reason is RefusalReason.UNKNOWN_CONNECTION:  # The encoder has gone.
        return ConnectionEnded(
            participant_id=route.participant_id, connection_id=connection_id, cause=Cause.CLIENT, detail=error.detail
        )
    return ConnectionFailed(
        participant_id=route.participant_id,
        connection_id=connection_id,
        code=ErrorCode.INTERNAL_SERVER_EXCEPTION,
        cause=Cause.REFUSED if error.reason is RefusalReason.BUSY else Cause.ENGINE_LOST,
        detail=error.detail,
    )


def _participant_of(configuration: IngestConfiguration, stream_key: str) -> str | None:
    """Return the participant of a stream key; None for a wrong secret, and for the single key while there are
    redundant ones.

    All keys are compared, each in constant time, so the duration says nothing about them.
    """
    keys = {credential.participant_id: credential.stream_key for credential in configuration.redundant_credentials}
    if not keys:
        keys = {configuration.participant_id: configuration.stream_key}
    matching = [participant_id for participant_id, key in keys.items() if _is_same(stream_key, key)]
    return matching[0] if matching else None


def _wrong_key(configuration: IngestConfiguration, stream_key: str) -> str:
    if _is_same(stream_key, configuration.stream_key):
        return "redundant ingest is on: use one of its two stream keys in place of this one"
    return "the secret of the stream key is not the ingest configuration's"


def _is_same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8"), other.encode("utf-8"))


def _code_of(error: StagebookError) -> ErrorCode:
    """Return the error code to show to the encoder, also for refusals that are no events."""
    match error:
        case AttemptRefusedError():
            return error.code
        case StreamKeyUnknownError():
            return ErrorCode.INVALID_STREAM_KEY
        case _:
            return ErrorCode.INTERNAL_SERVER_EXCEPTION
