"""The integer keys of stages, sessions and participants, cached to check transactions before they are queued.

A transaction is checked on the event loop's thread when it is submitted, and committed later by the writer thread. The
cache therefore describes the book as it will be once every queued transaction is committed. An entry that is not cached
is looked up in the store, which is behind the queue; so an entry may be dropped only once its rows are durable.

What is cached is what is open: participants that have left are dropped, and so are the keys of ended sessions. Both can
be any number while a stage is in use. There are two kinds of caches:

* `StoredRowKeys` reads an entry that it lacks from the store at once. SQLite is in the same process.
* `LoadedRowKeys` reads nothing. It holds the keys of whole accounts, and what it lacks is fetched before.

New keys are assigned here. A method that changes the cache appends the reverse steps to `undo`; a refused transaction
runs them from the last to the first.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from stagebook.book.book_errors import ChangeRefusedError
from stagebook.book.changes import PutRecording
from stagebook.book.tables.key_sequence import KeySequence

Undo: TypeAlias = list[Callable[[], object]]
"""The steps that revert a refused transaction. They must be called from the last to the first."""


class SessionKeys:
    """An open session: its key, and the numbers of its participants by participant id.

    `numbers` has the participants that are connected or not durable. The others are in the store; `last_number` is the
    newest number of all.
    """

    __slots__ = ("last_number", "left", "numbers", "recorded", "session_id", "session_key", "start_ms")

    def __init__(
        self, *, session_id: str, session_key: int, start_ms: int, numbers: dict[str, int], last_number: int = 0
    ) -> None:
        self.session_id = session_id
        self.session_key = session_key
        self.start_ms = start_ms
        self.numbers = numbers
        self.last_number = last_number
        self.left: dict[str, int] = {}
        """The cached participants that are not connected, each with the transaction that put it so."""
        self.recorded: dict[str, int] = {}
        """How many recordings of a participant are open. Only `LoadedRowKeys` counts them."""


class StageKeys:
    """A stage: its key, whether it is deleted, its open session, and the keys of sessions that are not durable."""

    __slots__ = ("deleted", "ended", "open_session", "session_keys", "stage_key")

    def __init__(self, *, stage_key: int, deleted: bool, open_session: SessionKeys | None) -> None:
        self.stage_key = stage_key
        self.deleted = deleted
        self.open_session = open_session
        self.session_keys: dict[str, int] = {}
        self.ended: dict[str, SessionKeys] = {}
        """The sessions whose end is not durable, by their ids."""


class RowKeys:
    """The cached stages and sessions. `stage_keys`, `session_keys` and `composition_keys` are the keys of new ones.

    `submitted` is how many transactions were submitted; the one that is being translated has this number.
    """

    def __init__(
        self,
        *,
        stage_keys: KeySequence,
        session_keys: KeySequence,
        composition_keys: KeySequence,
        stage_count: int = 0,
    ) -> None:
        """`stage_count` is the number of stages that exist, without deleted ones."""
        self.submitted = 0
        self.stage_count = stage_count
        """The stages that exist, without deleted ones."""
        self._dropping: deque[tuple[int, Callable[[], object]]] = deque()
        """What to drop when a transaction is durable, in the order of the transactions."""
        self._stages: dict[str, StageKeys] = {}
        self._compositions: dict[str, int] = {}
        """The keys of compositions that have not ended, and of those whose end is not durable."""
        self._expiring: set[int] = set()
        """The keys of sessions that are about to be deleted, see `expiring`."""
        self._new_stage_keys = stage_keys
        self._new_session_keys = session_keys
        self._new_composition_keys = composition_keys

    def _look_up_stage(self, stage_arn: str) -> StageKeys | None:
        """Return a stage that is not cached, also if it is deleted; None if it never existed."""

    def _look_up_session(self, stage: StageKeys, session_id: str) -> int | None:
        """Return the key of an ended session that is not cached, None if there is none."""

    def _look_up_number(self, session: SessionKeys, participant_id: str) -> int | None:
        """Return the number of a participant that is not cached, None if it is new."""

    def _look_up_composition(self, arn: str) -> int | None:
        """Return the key of a composition that is not cached, None if there is none."""

    def find_stage(self, stage_arn: str) -> StageKeys | None:
        """Return the stage, also if it is deleted; None if it never existed."""
        stage = self._stages.get(stage_arn)
        if stage is None:
            stage = self._look_up_stage(stage_arn)
            if stage is not None:
                self._stages[stage_arn] = stage
        return stage

    def stage(self, stage_arn: str) -> StageKeys:
        """Return the stage, also if it is deleted. Raises ChangeRefusedError if it never existed."""
        stage = self.find_stage(stage_arn)
        if stage is None:
            raise ChangeRefusedError(f"there is no stage {stage_arn}")
        return stage

    def open_session(self, stage_arn: str, session_id: str) -> SessionKeys:
        """Return the open session `session_id` of the stage. Raises ChangeRefusedError if it is not open."""
        # The lookup of a stage that is cached, written out: each event and each row of a participant needs it.
        session = (self._stages.get(stage_arn) or self.stage(stage_arn)).open_session
        if session is None or session.session_id != session_id:
            raise ChangeRefusedError(f"session {session_id} of stage {stage_arn} is not open")
        return session

    def any_session(self, stage_arn: str, session_id: str) -> SessionKeys:
        """Return a session of the stage, open or ended. Raises ChangeRefusedError if there is none.

        The numbers of one that ended a while ago may have to be looked up.
        """
        stage = self.stage(stage_arn)
        session = stage.open_session
        if session is None or session.session_id != session_id:
            session = stage.ended.get(session_id)
        if session is not None:
            return session
        session_key = self.session_key(stage_arn, session_id)
        return SessionKeys(session_id=session_id, session_key=session_key, start_ms=0, numbers={}, last_number=1)

    def find_number(self, session: SessionKeys, participant_id: str) -> int | None:
        """Return the number of a participant in an open session, None if it is new."""
        number = session.numbers.get(participant_id)
        if number is None and len(session.numbers) < session.last_number:
            number = self._look_up_number(session, participant_id)
        return number

    def number(self, session: SessionKeys, participant_id: str, undo: Undo) -> int:
        """Return the number of a participant in an open session, and cache it; a new participant gets one."""
        number = session.numbers.get(participant_id)
        if number is not None:
            return number
        number = self.find_number(session, participant_id)
        if number is None:
            number = session.last_number = session.last_number + 1
            undo.append(lambda: setattr(session, "last_number", number - 1))
        session.numbers[participant_id] = number
        undo.append(lambda: session.numbers.pop(participant_id))
        return number

    def note_connected(self, session: SessionKeys, participant_id: str, *, is_connected: bool) -> None:
        """Note the state of a participant that the submitted transaction has put: the number of one that is not
        connected is dropped as soon as the transaction is durable. The transaction can no longer be refused."""
        if is_connected:
            session.left.pop(participant_id, None)
            return
        transaction = session.left[participant_id] = self.submitted

        def drop() -> None:
            # Unless it has been put again: then the newer transaction counts.
            if session.left.get(participant_id) == transaction:
                del session.left[participant_id]
                session.numbers.pop(participant_id, None)

        self._dropping.append((transaction, drop))

    def note_durable(self, count: int) -> None:
        """Drop what is no longer needed now that the first `count` transactions are durable."""
        while self._dropping and self._dropping[0][0] < count:
            self._dropping.popleft()[1]()

    def session_key(self, stage_arn: str, session_id: str) -> int:
        """Return the key of a session, open or ended. Raises ChangeRefusedError if there is none."""
        session_key = self._find_session_key(self.stage(stage_arn), session_id)
        if session_key is None or session_key in self._expiring:
            raise ChangeRefusedError(f"stage {stage_arn} has no session {session_id}")
        return session_key

    @contextmanager
    def expiring(self, session_keys: Collection[int]) -> Iterator[None]:
        """Refuse changes that refer to these ended sessions, while the writer deletes them."""
        self._expiring.update(session_keys)
        try:
            yield
        finally:
            self._expiring.difference_update(session_keys)

    def forget_stages(self, stage_arns: Iterable[str]) -> None:
        """Drop deleted stages whose rows are deleted now. Until then, changes of them are refused."""
        for stage_arn in stage_arns:
            self._stages.pop(stage_arn, None)

    def add_stage(self, stage_arn: str, undo: Undo) -> StageKeys:
        """Add a new stage and return its keys."""
        stage_key = self._new_stage_keys.take()
        undo.append(lambda: self._new_stage_keys.give_back(stage_key))
        self._count_stages(1, undo)
        stage = StageKeys(stage_key=stage_key, deleted=False, open_session=None)
        self._stages[stage_arn] = stage
        undo.append(lambda: self._stages.pop(stage_arn))
        return stage

    def delete_stage(self, stage_arn: str, undo: Undo) -> StageKeys:
        """Mark a stage as deleted and return its keys. Raises ChangeRefusedError if it is deleted or never existed."""
        stage = self.stage(stage_arn)
        if stage.deleted:
            raise ChangeRefusedError(f"stage {stage_arn} is deleted")
        stage.deleted = True
        self._count_stages(-1, undo)
        undo.append(lambda: setattr(stage, "deleted", False))
        return stage

    def _count_stages(self, change: int, undo: Undo) -> None:
        self.stage_count += change
        undo.append(lambda: self._count_stages(-change, []))

    def start_session(
        self, stage_arn: str, session_id: str, start_ms: int, undo: Undo
    ) -> tuple[StageKeys, SessionKeys]:
        """Add a new open session and return its stage's keys and its own.

        Raises ChangeRefusedError if the stage is deleted, has an open session, or had a session with this id.
        """
        stage = self.stage(stage_arn)
        if stage.deleted or stage.open_session is not None:
            raise ChangeRefusedError(f"stage {stage_arn} is deleted or has an open session")
        if self._find_session_key(stage, session_id) is not None:
            raise ChangeRefusedError(f"stage {stage_arn} already had a session {session_id}")
        session_key = self._new_session_keys.take()
        undo.append(lambda: self._new_session_keys.give_back(session_key))
        session = SessionKeys(session_id=session_id, session_key=session_key, start_ms=start_ms, numbers={})
        stage.open_session = session
        stage.session_keys[session_id] = session.session_key
        self._dropping.append((self.submitted, lambda: stage.session_keys.pop(session_id, None)))
        undo.append(self._dropping.pop)
        undo.append(lambda: stage.session_keys.pop(session_id))
        undo.append(lambda: setattr(stage, "open_session", None))
        return stage, session

    def end_session(self, stage_arn: str, session_id: str, undo: Undo) -> tuple[StageKeys, SessionKeys]:
        """End the open session and return its stage's keys and its own.

        Raises ChangeRefusedError if the session is not open.
        """
        session = self.open_session(stage_arn, session_id)
        stage = self._stages[stage_arn]
        stage.open_session = None
        undo.append(lambda: setattr(stage, "open_session", session))
        stage.ended[session_id] = session
        undo.append(lambda: stage.ended.pop(session_id))
        self._dropping.append((self.submitted, lambda: self._drop_ended(stage_arn, stage, session)))
        undo.append(self._dropping.pop)
        return stage, session

    def _drop_ended(self, stage_arn: str, stage: StageKeys, session: SessionKeys) -> None:  # noqa: ARG002
        """Drop a session whose end is durable."""
        stage.ended.pop(session.session_id, None)

    def composition_key(self, arn: str) -> int:
        """Return the key of a composition. Raises ChangeRefusedError if there is none."""
        key = self._find_composition_key(arn)
        if key is None:
            raise ChangeRefusedError(f"there is no composition {arn}")
        return key

    def put_composition(self, arn: str, *, stage_arn: str, undo: Undo) -> int:
        """Return the key of a composition; a new one gets a key.

        Raises ChangeRefusedError for a new one on a stage that never existed.
        """
        key = self._find_composition_key(arn)
        if key is None:
            self.stage(stage_arn)
            new_key = key = self._new_composition_keys.take()
            undo.append(lambda: self._new_composition_keys.give_back(new_key))
        if arn not in self._compositions:
            self._compositions[arn] = key
            undo.append(lambda: self._compositions.pop(arn))
        return key

    def note_composition_ended(self, arn: str, undo: Undo) -> None:
        """Drop the key of a composition once the transaction that is being submitted, which ends it, is durable."""
        self._dropping.append((self.submitted, lambda: self._compositions.pop(arn, None)))
        undo.append(self._dropping.pop)

    def note_recording(self, stage_arn: str, session: SessionKeys, change: PutRecording, undo: Undo) -> None:
        """Note that the transaction that is being submitted puts a recording of a participant of the session."""

    def drop_idle_stages(self) -> None:
        """Drop stages that can be looked up again, if there are many. Call it only while nothing is queued."""

    def _find_composition_key(self, arn: str) -> int | None:
        key = self._compositions.get(arn)
        return self._look_up_composition(arn) if key is None else key

    def _find_session_key(self, stage: StageKeys, session_id: str) -> int | None:
        if stage.open_session is not None and stage.open_session.session_id == session_id:
            return stage.open_session.session_key
        if session_id in stage.session_keys:
            return stage.session_keys[session_id]
        return self._look_up_session(stage, session_id)
