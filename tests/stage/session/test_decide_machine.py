"""Random facts for two stages at once: what must hold for sessions, events and orders after each of them."""

import itertools
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from stagebook.stage.claims import Claims
from stagebook.stage.events import Cause, ErrorCode, Event, EventName, ReplicationDestination
from stagebook.stage.limits import RELAXED
from stagebook.stage.participant.transitions import (
    NEEDED_CAPABILITIES,
    PUBLISHING_KINDS,
    ConnectionKind,
    ConnectionState,
)
from stagebook.stage.resources import Capability, ParticipantState
from stagebook.stage.session import session_facts as facts
from stagebook.stage.session.replication_phase import ReplicationPhase
from stagebook.stage.session.session_phase import SessionPhase
from stagebook.stage.session.session_state import NO_USAGE, Session, SessionParticipant, Usage, shown_mute, usage_of
from stagebook.stage.source_limits import Measurement
from tests.stage.session.decided_session import CLIENT, claims, stream_claims
from tests.stage.session.decided_stages import STAGES, Shell

LIMITS = replace(
    RELAXED,
    publishers_per_stage=3,
    subscribers_per_stage=5,
    participants_per_stage=5,
    connections_per_participant=3,
    publishers_per_account=5,
    replications_per_participant=1,
    duration_seconds=60,
    publish_bitrate_window_seconds=2,
)
TOKENS = ("A", "B", "C")
"""Participants that come with tokens."""
STREAMS = ("X", "Y")
"""The two redundant streams of the virtual participant V."""
EVERYBODY = (*TOKENS, *STREAMS, "V", "E")

STAGE_ARNS = st.sampled_from(STAGES)
PARTICIPANTS = st.sampled_from(TOKENS)
CAPABILITIES = st.sampled_from([frozenset(Capability), frozenset({Capability.PUBLISH}), frozenset[Capability]()])
IS_OWN_KEY = st.sampled_from([True, True, True, False])
MUTED = st.sampled_from([None, False, True])
CHOICES = st.integers(0, 1_000)
CAUSES = st.sampled_from([Cause.CLIENT, Cause.PEER_LOST, Cause.NEVER_CONNECTED])


def token(
    stage_arn: str, participant_id: str, capabilities: frozenset[Capability], *, is_own_key: bool = True
) -> Claims:
    """The claims of a token. A and C sign their own tokens, B has those of the server; sometimes it is reversed."""
    is_self_signed = (participant_id in "AC") == is_own_key
    return replace(
        claims(participant_id),
        stage_arn=stage_arn,
        capabilities=capabilities,
        key_arn="key" if is_self_signed else None,
    )


class DecideMachine(RuleBasedStateMachine):
    """Applies facts that peers, callers, engines and timers can cause, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.shell = Shell(LIMITS)

    def pick(self, choice: int) -> tuple[str, str, str]:
        """A stage, a participant and a connection id: mostly of a connection or offer, sometimes unknown ones."""
        known = [(stage_arn, owner, each) for each, (stage_arn, owner, _) in self.shell.routes.items()]
        unknown = [(stage_arn, participant_id, "unknown") for stage_arn in STAGES for participant_id in ("A", "V")]
        candidates = known * 4 + unknown
        return candidates[choice % len(candidates)]

    def publisher(self, stage_arn: str, choice: int, *, must_flow: bool = False) -> str:
        """A participant that publishes on a stage, sometimes one that does not."""
        session = self.shell.sessions.get(stage_arn)
        publishing = [
            participant_id
            for participant_id, each in (() if session is None else session.participants.items())
            if each.machine.is_publishing or (each.machine.publication_id is not None and not must_flow)
        ]
        candidates = sorted(publishing) * 3 + ["A", "V", "X"]
        return candidates[choice % len(candidates)]

    def apply(self, stage_arn: str, fact: facts.SessionFact) -> None:
        self.shell.apply(self.shell.session(stage_arn), fact)

    @initialize(
        streams=st.booleans(),
        windows_seconds=st.sampled_from([(), (0,), (5,)]),
        is_watched=st.booleans(),
        offers_again=st.booleans(),
    )
    def populate(
        self, *, streams: bool, windows_seconds: tuple[int, ...], is_watched: bool, offers_again: bool
    ) -> None:
        """Start with what takes many steps: publishers of both kinds, replicas, and viewers of them."""
        here, there = STAGES
        self._publish(here, "A", connect=True)
        if streams:
            self.encode(here, "X", connect=True)
            self.encode(here, "Y", connect=True)
        for window_seconds in windows_seconds:
            for participant_id in ("V", "A") if streams else ("A",):
                self._replicate(here, participant_id, window_seconds)
        if is_watched:
            for stage_arn, participant_id in itertools.product(STAGES, ("B", "C")):
                self._subscribe(stage_arn, participant_id, "A", connect=True)
            self._subscribe(there, "B", "V", connect=True)
        if offers_again:
            for _ in range(2):
                self._publish(here, "A", connect=False)
            self.publish(here, "A", frozenset(Capability), is_own_key=True)
            self._subscribe(here, "C", "A", connect=False)

    @rule(stage_arn=STAGE_ARNS, participant_id=PARTICIPANTS, capabilities=CAPABILITIES, is_own_key=IS_OWN_KEY)
    def publish(
        self, stage_arn: str, participant_id: str, capabilities: frozenset[Capability], *, is_own_key: bool
    ) -> None:
        session = self.shell.session(stage_arn)
        fact = facts.PublishRequested(
            connection_id=self.shell.fresh_id("pub-"),
            source_id=self.shell.fresh_id("source-"),
            claims=token(stage_arn, participant_id, capabilities, is_own_key=is_own_key),
            client=CLIENT,
            known=self.shell.known(session, participant_id),
        )
        self.shell.apply(session, fact)

    @rule(stage_arn=STAGE_ARNS, participant_id=PARTICIPANTS, connect=st.booleans())
    def publish_and_answer(self, stage_arn: str, participant_id: str, *, connect: bool) -> None:
        self._publish(stage_arn, participant_id, connect=connect)

    def _publish(self, stage_arn: str, participant_id: str, *, connect: bool) -> None:
        self.publish(stage_arn, participant_id, frozenset(Capability), is_own_key=True)
        for connection_id, (_, owner, _) in tuple(self.shell.routes.items()):
            if owner == participant_id and connection_id in self.shell.asked:
                self._answer(connection_id, connect=connect)

    @rule(stage_arn=STAGE_ARNS, participant_id=PARTICIPANTS, choice=CHOICES, connect=st.booleans())
    def subscribe(self, stage_arn: str, participant_id: str, choice: int, *, connect: bool) -> None:
        self._subscribe(stage_arn, participant_id, self.publisher(stage_arn, choice), connect=connect)

    def _subscribe(self, stage_arn: str, participant_id: str, publisher_id: str, *, connect: bool) -> None:
        session = self.shell.session(stage_arn)
        connection_id = self.shell.fresh_id("sub-")
        fact = facts.SubscribeRequested(
            connection_id=connection_id,
            publisher_id=publisher_id,
            claims=token(stage_arn, participant_id, frozenset(Capability)),
            client=CLIENT,
            known=self.shell.known(session, participant_id),
        )
        self.shell.apply(session, fact)
        if connect:
            self._answer(connection_id, connect=True)

    def _answer(self, connection_id: str, *, connect: bool) -> None:
        """The engine answers an offer, unless it was refused or is an encoder's."""
        if self.shell.asked.pop(connection_id, None) is not None:
            stage_arn, participant_id, _ = self.shell.routes[connection_id]
            kinds = int(connection_id.rpartition("-")[2]) % 3
            answered = facts.AttemptAnswered(
                participant_id=participant_id,
                connection_id=connection_id,
                sends_audio=kinds != 1,
                sends_video=kinds != 2,
            )
            self.apply(stage_arn, answered)
            if connect:
                self._connect(stage_arn, participant_id, connection_id)

    @rule(
        stage_arn=STAGE_ARNS,
        participant_id=PARTICIPANTS,
        capabilities=CAPABILITIES,
        is_own_key=IS_OWN_KEY,
        is_sole=st.booleans(),
    )
    def open_events(
        self,
        stage_arn: str,
        participant_id: str,
        capabilities: frozenset[Capability],
        *,
        is_own_key: bool,
        is_sole: bool,
    ) -> None:
        session = self.shell.session(stage_arn)
        fact = facts.EventsRequested(
            connection_id=self.shell.fresh_id("ws-"),
            claims=token(stage_arn, participant_id, capabilities, is_own_key=is_own_key),
            client=CLIENT,
            is_sole=is_sole,
            known=self.shell.known(session, participant_id),
        )
        refusal = self.shell.apply(session, fact)
        if refusal is None and is_sole:
            participant = self.shell.sessions[stage_arn].participants.get(participant_id)
            assert participant is not None
            assert participant.sole_events_id == fact.connection_id

    @rule(stage_arn=STAGE_ARNS, participant_id=st.sampled_from((*STREAMS, "E")), connect=st.booleans())
    def encode(self, stage_arn: str, participant_id: str, *, connect: bool) -> None:
        session = self.shell.session(stage_arn)
        feeds = "V" if participant_id in STREAMS else None
        fact = facts.EncoderRequested(
            connection_id=self.shell.fresh_id("enc-"),
            source_id=self.shell.fresh_id("source-"),
            publisher_id=feeds or participant_id,
            claims=replace(stream_claims(participant_id, feeds=feeds), stage_arn=stage_arn),
            client=CLIENT,
            known=self.shell.known(session, participant_id),
        )
        self.shell.apply(session, fact)
        if connect and fact.connection_id in self.shell.routes:
            self._connect(stage_arn, participant_id, fact.connection_id)

    def _connect(self, stage_arn: str, participant_id: str, connection_id: str) -> None:
        fact = facts.TransportConnected(
            participant_id=participant_id,
            connection_id=connection_id,
            virtual_known=self.shell.known(self.shell.session(stage_arn), "V"),
        )
        self.apply(stage_arn, fact)

    @rule(stage_arn=STAGE_ARNS, participant_id=st.sampled_from(("X", "E")))
    def refuse_encoder(self, stage_arn: str, participant_id: str) -> None:
        session = self.shell.session(stage_arn)
        fact = facts.AttemptRefused(
            claims=replace(stream_claims(participant_id, feeds="V" if participant_id == "X" else None)),
            client=CLIENT,
            failure="PUBLISH_ERROR",
            code=ErrorCode.INVALID_STREAM_KEY,
            detail="",
            known=self.shell.known(session, participant_id),
        )
        self.shell.apply(session, replace(fact, claims=replace(fact.claims, stage_arn=stage_arn)))

    @rule(choice=CHOICES)
    def answer(self, choice: int) -> None:
        stage_arn, participant_id, connection_id = self.pick(choice)
        self.apply(stage_arn, facts.AttemptAnswered(participant_id=participant_id, connection_id=connection_id))

    @rule(choice=CHOICES, code=st.sampled_from([None, ErrorCode.INVALID_VIDEO_CODEC]))
    def fail_attempt(self, choice: int, code: ErrorCode | None) -> None:
        stage_arn, participant_id, connection_id = self.pick(choice)
        fact = facts.AttemptFailed(participant_id=participant_id, connection_id=connection_id, code=code)
        self.apply(stage_arn, fact)

    @rule(choice=CHOICES)
    def connect(self, choice: int) -> None:
        self._connect(*self.pick(choice))

    @rule(choice=CHOICES, cause=CAUSES)
    def end_connection(self, choice: int, cause: Cause) -> None:
        stage_arn, participant_id, connection_id = self.pick(choice)
        fact = facts.ConnectionEnded(participant_id=participant_id, connection_id=connection_id, cause=cause)
        self.apply(stage_arn, fact)

    @rule(choice=CHOICES, cause=st.sampled_from([Cause.LIMIT, Cause.ENGINE_LOST]))
    def fail_connection(self, choice: int, cause: Cause) -> None:
        stage_arn, participant_id, connection_id = self.pick(choice)
        fact = facts.ConnectionFailed(
            participant_id=participant_id, connection_id=connection_id, code=ErrorCode.INVALID_INPUT, cause=cause
        )
        self.apply(stage_arn, fact)

    @rule(choice=CHOICES, is_above=st.booleans(), has_b_frames=st.booleans())
    def measure(self, choice: int, *, is_above: bool, has_b_frames: bool) -> None:
        stage_arn, participant_id, connection_id = self.pick(choice)
        seen = Measurement(
            bitrate_bps=LIMITS.publish_bitrate_bps + is_above, width=640, height=360, has_b_frames=has_b_frames
        )
        fact = facts.SourceReported(participant_id=participant_id, connection_id=connection_id, measurement=seen)
        self.apply(stage_arn, fact)

    @rule(choice=CHOICES)
    def report_a_late_timer(self, choice: int) -> None:
        stage_arn, participant_id, _ = self.pick(choice)
        for fact in (
            facts.LingerElapsed(),
            facts.WindowElapsed(participant_id=participant_id, replication_id="unknown"),
            facts.DurationElapsed(participant_id=participant_id, connection_id="unknown"),
        ):
            before = self.shell.sessions.get(stage_arn)
            if before is not None and before.phase is not SessionPhase.LINGERING:
                self.apply(stage_arn, fact)
                assert self.shell.sessions[stage_arn] == before

    @rule(duration_ms=st.sampled_from([1, 500, 1_000, 5_000, 30_000, 60_000]))
    def advance(self, duration_ms: int) -> None:
        self.shell.advance(duration_ms)
        for stage_arn, fact in self.shell.due():
            session = self.shell.sessions.get(stage_arn)
            assert session is not None, "a timer of a session that has ended"
            self.shell.apply(session, fact)

    @rule(stage_arn=STAGE_ARNS, participant_id=st.sampled_from("AC"), capabilities=CAPABILITIES)
    def exchange_token(self, stage_arn: str, participant_id: str, capabilities: frozenset[Capability]) -> None:
        new = token(stage_arn, participant_id, capabilities)
        self.apply(stage_arn, facts.TokenExchangeRequested(participant_id=participant_id, claims=new))

    @rule(stage_arn=STAGE_ARNS, participant_id=st.sampled_from("ABC"), audio=MUTED, video=MUTED)
    def set_mute_state(self, stage_arn: str, participant_id: str, *, audio: bool | None, video: bool | None) -> None:
        fact = facts.MuteStateSet(participant_id=participant_id, audio_muted=audio, video_stopped=video)
        self.apply(stage_arn, fact)

    @rule(stage_arn=STAGE_ARNS, participant_ids=st.lists(st.sampled_from(EVERYBODY), max_size=3))
    def disconnect(self, stage_arn: str, participant_ids: list[str]) -> None:
        # The API disconnects all participants of an ingest configuration together.
        together = ("V", *STREAMS) if {"V", *STREAMS} & set(participant_ids) else ()
        everybody = tuple(dict.fromkeys((*participant_ids, *together)))
        fact = facts.ParticipantsDisconnected(participant_ids=everybody, cause=Cause.DISCONNECTED_BY_API)
        self.apply(stage_arn, fact)

    @rule(source=STAGE_ARNS, choice=CHOICES, window_seconds=st.sampled_from([0, 5, 5]))
    def replicate(self, source: str, choice: int, window_seconds: int) -> None:
        self._replicate(source, self.publisher(source, choice, must_flow=True), window_seconds)

    def _replicate(self, source: str, participant_id: str, window_seconds: int) -> None:
        destination = self.shell.session(STAGES[source == STAGES[0]])
        fact = facts.ReplicationRequested(
            participant_id=participant_id,
            replication_id=self.shell.fresh_id("rep-"),
            destination_stage_arn=destination.stage_arn,
            destination_session_id=destination.session_id,
            window_seconds=window_seconds,
            attributes={"role": "guest"},
            known=self.shell.known(destination, participant_id),
        )
        self.shell.apply(self.shell.session(source), fact, destination)

    @rule(source=STAGE_ARNS, participant_id=st.sampled_from(("A", "B", "V")))
    def stop_replication(self, source: str, participant_id: str) -> None:
        fact = facts.ReplicationStopRequested(
            participant_id=participant_id, destination_stage_arn=STAGES[source == STAGES[0]]
        )
        self.apply(source, fact)

    @precondition(lambda self: self.shell.sessions)
    @rule(stage_arn=STAGE_ARNS, cause=st.sampled_from([Cause.STAGE_DELETED, Cause.SHUTDOWN]), is_rare=CHOICES)
    def close_session(self, stage_arn: str, cause: Cause, is_rare: int) -> None:
        if is_rare % 4 == 0:
            self.apply(stage_arn, facts.SessionClosed(cause=cause))

    # What must hold after each fact.

    def participants(self) -> list[tuple[Session, SessionParticipant]]:
        return [(session, each) for session in self.shell.sessions.values() for each in session.participants.values()]

    @invariant()
    def events_agree_with_connections(self) -> None:
        running = {session.session_id: session for session in self.shell.sessions.values()}
        for (session_id, participant_id), events in self.shell.events.items():
            session = running.get(session_id)
            participant = None if session is None else session.participants.get(participant_id)
            assert open_after(events) == open_now(participant)

    @invariant()
    def rows_agree_with_participants(self) -> None:
        for session, participant in self.participants():
            record = participant.record
            is_present = bool(participant.machine.connections)
            assert (record.state is ParticipantState.CONNECTED) == is_present
            if participant.is_written:
                assert self.shell.rows[session.session_id, record.participant_id] == record
        running = {session.session_id: session for session in self.shell.sessions.values()}
        for (session_id, participant_id), record in self.shell.rows.items():
            assert record.first_join_ms == self.shell.first_joins_ms.get((session_id, participant_id))
            if session_id not in running or participant_id not in running[session_id].participants:
                assert record.state is ParticipantState.DISCONNECTED

    @invariant()
    def usage_is_the_sum_of_the_participants(self) -> None:
        for session in self.shell.sessions.values():
            expected = NO_USAGE
            for participant in session.participants.values():
                machine = participant.machine
                assert machine.connections or machine.replications or participant.attempts
                expected = added(expected, usage_of(participant))
            assert session.usage == expected

    @invariant()
    def quotas_hold(self) -> None:
        for session in self.shell.sessions.values():
            assert session.usage.publishers <= LIMITS.publishers_per_stage
            assert session.usage.subscribers <= LIMITS.subscribers_per_stage

    @invariant()
    def tokens_allow_what_is_open(self) -> None:
        for _, participant in self.participants():
            if not participant.machine.is_replica:
                for connection in participant.machine.connections.values():
                    needed = NEEDED_CAPABILITIES.get(connection.kind)
                    assert needed is None or needed in participant.claims.capabilities

    @invariant()
    def a_virtual_participant_publishes_while_one_of_its_streams_does(self) -> None:
        for session in self.shell.sessions.values():
            streams = [session.participants.get(each) for each in STREAMS]
            virtual = session.participants.get("V")
            is_fed = any(each is not None and each.machine.is_publishing for each in streams)
            is_shown = virtual is not None and virtual.is_virtual and virtual.machine.is_publishing
            assert is_fed == is_shown

    @invariant()
    def a_sole_websocket_is_open(self) -> None:
        for _, participant in self.participants():
            if participant.sole_events_id is not None:
                assert participant.machine.connections[participant.sole_events_id].kind is ConnectionKind.EVENTS

    @invariant()
    def viewers_are_the_subscribe_connections(self) -> None:
        for session in self.shell.sessions.values():
            expected: dict[str, dict[str, str]] = {}
            for participant_id, participant in session.participants.items():
                for connection_id, connection in participant.machine.connections.items():
                    if connection.remote_participant_id is not None:
                        expected.setdefault(connection.remote_participant_id, {})[connection_id] = participant_id
            assert {publisher: dict(watching.items()) for publisher, watching in session.viewers.items()} == expected
            assert all(publisher in session.sources for publisher in expected)

    @invariant()
    def sources_are_used_by_publications_and_offers(self) -> None:
        for session in self.shell.sessions.values():
            expected: dict[str, dict[str, str]] = {}
            for participant_id, participant in session.participants.items():
                users = [
                    connection_id
                    for connection_id, each in participant.machine.connections.items()
                    if each.kind in (ConnectionKind.PUBLISH, ConnectionKind.REDUNDANT) and not participant.is_virtual
                ]
                users += [
                    each for each, attempt in participant.attempts.items() if attempt.kind is ConnectionKind.PUBLISH
                ]
                if participant.machine.replica_id is not None:
                    expected[participant_id] = {}
                for user in users:
                    expected.setdefault(participant.virtual_id or participant_id, {})[user] = participant_id
            assert {publisher: dict(each.users) for publisher, each in session.sources.items()} == expected
            for publisher_id, source in session.sources.items():
                assert source.is_local != session.has_replica(publisher_id)

    @invariant()
    def routes_are_the_connections_and_offers(self) -> None:
        expected = {}
        for session, participant in self.participants():
            owner = (session.stage_arn, participant.record.participant_id)
            if not participant.is_virtual and not participant.machine.is_replica:
                for connection_id, connection in participant.machine.connections.items():
                    expected[connection_id] = (*owner, connection.kind)
            for connection_id, attempt in participant.attempts.items():
                expected[connection_id] = (*owner, attempt.kind)
        assert self.shell.routes == expected

    @invariant()
    def timers_are_the_open_deadlines(self) -> None:
        expected = {
            f"linger:{arn}" for arn, each in self.shell.sessions.items() if each.phase is SessionPhase.LINGERING
        }
        for _, participant in self.participants():
            for connection_id, connection in participant.machine.connections.items():
                is_media = connection.kind not in (ConnectionKind.EVENTS, ConnectionKind.REPLICA)
                if is_media and connection.state is ConnectionState.FLOWING and not participant.is_virtual:
                    expected.add(f"duration:{connection_id}")
            for replication_id, replication in participant.replications.items():
                if replication.phase is ReplicationPhase.AWAITING:
                    expected.add(f"window:{replication_id}")
        assert set(self.shell.timers) == expected

    @invariant()
    def phases_say_who_is_there(self) -> None:
        for session in self.shell.sessions.values():
            is_filled = bool(session.usage.present or session.usage.awaited)
            assert (session.phase is SessionPhase.OPEN) == is_filled
            assert (session.empty_since is not None) == (session.phase is SessionPhase.LINGERING)
            assert (session.session_id in self.shell.started) == (session.phase is not SessionPhase.UNOPENED)
            assert session.session_id not in self.shell.ended

    @invariant()
    def replications_have_both_of_their_ends(self) -> None:
        held, shown, mutes = {}, {}, {}
        for session, participant in self.participants():
            participant_id = participant.record.participant_id
            assert set(participant.replications) == set(participant.machine.replications)
            for replication_id, replication in participant.replications.items():
                is_live = replication.phase is ReplicationPhase.LIVE
                assert is_live == participant.machine.is_publishing
                assert is_live or replication.window_seconds > 0
                mutes[replication_id] = shown_mute(participant)
                held[replication_id] = (replication.destination.stage_arn, participant_id, is_live)
            replica_id = participant.machine.replica_id
            if replica_id is not None:
                shown[replica_id] = (session.stage_arn, participant_id, participant.machine.is_publishing)
        assert held == shown
        for _, participant in self.participants():
            replica_id = participant.machine.replica_id
            if replica_id is not None and participant.machine.is_publishing:
                assert shown_mute(participant) == mutes[replica_id]

    def teardown(self) -> None:
        for stage_arn in STAGES:
            if stage_arn in self.shell.sessions:
                self.apply(stage_arn, facts.SessionClosed(cause=Cause.SHUTDOWN))
        assert not self.shell.sessions
        assert not self.shell.routes
        assert not self.shell.timers
        assert self.shell.started == self.shell.ended
        for events in self.shell.events.values():
            assert open_after(events) == open_now(None)


Opened = tuple[bool, bool, Counter[str | None], Counter[ReplicationDestination | None]]
"""Whether a participant is present and publishes, its subscriptions by publisher, and its replications."""


def open_after(events: list[Event]) -> Opened:
    """What a participant's events leave open. Checks that JOINED and LEFT frame everything and that all pairs match."""
    is_present, publications = False, 0
    watched: Counter[str | None] = Counter()
    replicated: Counter[ReplicationDestination | None] = Counter()
    for event in events:
        match event.name:
            case EventName.JOINED:
                assert not is_present
                is_present = True
            case EventName.LEFT:
                assert is_present
                assert publications == 0
                assert not +watched
                is_present = False
            case EventName.PUBLISH_STARTED | EventName.PUBLISH_STOPPED:
                assert is_present
                publications += 1 if event.name is EventName.PUBLISH_STARTED else -1
                assert publications in (0, 1)
            case EventName.SUBSCRIBE_STARTED | EventName.SUBSCRIBE_STOPPED:
                assert is_present
                watched[event.remote_participant_id] += 1 if event.name is EventName.SUBSCRIBE_STARTED else -1
                assert watched[event.remote_participant_id] >= 0
            case EventName.REPLICATION_STARTED | EventName.REPLICATION_STOPPED:
                replicated[event.destination] += 1 if event.name is EventName.REPLICATION_STARTED else -1
                assert replicated[event.destination] in (0, 1)
            case _:
                pass
    return is_present, bool(publications), +watched, +replicated


def open_now(participant: SessionParticipant | None) -> Opened:
    """What a participant has open, None for one that the session does not hold."""
    if participant is None:
        return False, False, Counter(), Counter()
    machine = participant.machine
    flowing = [each for each in machine.connections.values() if each.state is ConnectionState.FLOWING]
    return (
        bool(machine.connections),
        any(each.kind in PUBLISHING_KINDS for each in flowing),
        Counter(each.remote_participant_id for each in flowing if each.kind is ConnectionKind.SUBSCRIBE),
        Counter(machine.replications.values()),
    )


def added(one: Usage, other: Usage) -> Usage:
    return Usage(
        present=one.present + other.present,
        arriving=one.arriving + other.arriving,
        awaited=one.awaited + other.awaited,
        publishers=one.publishers + other.publishers,
        subscribers=one.subscribers + other.subscribers,
    )


TestDecideMachine = DecideMachine.TestCase
TestDecideMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
