"""The compositions that run, and those that ended lately, in memory: by ARN, by id, by stage and by idempotency token.

All that have not ended are here, so quotas, channels in use and configurations in use are counted here. Those that have
ended stay for as long as GetComposition shows them, for their idempotency tokens and tags.
"""

from collections.abc import Iterator

from stagebook.media.composition.composition_port import ComposedParticipant, CompositionRequest
from stagebook.stage.composition.composition import Composition
from stagebook.stage.composition.composition_draft import RunningComposition


class KnownComposition:
    """A composition and its state. `request` is what its engine has been told, None before."""

    __slots__ = ("request", "running", "shown")

    def __init__(self, running: RunningComposition) -> None:
        self.running = running
        self.request: CompositionRequest | None = None
        self.shown: tuple[ComposedParticipant, ...] = ()
        """The participants that the engine was told last."""

    @property
    def composition(self) -> Composition:
        """What the book has of it once everything is durable."""
        return self.running.composition

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return not self.running.composition.state.is_final


class KnownCompositions:
    """All of one server."""

    def __init__(self) -> None:
        self._by_arn: dict[str, KnownComposition] = {}
        self._by_id: dict[str, KnownComposition] = {}
        self._by_token: dict[tuple[str, str], KnownComposition] = {}
        self._of_stage: dict[str, dict[str, KnownComposition]] = {}

    def add(self, known: KnownComposition) -> None:
        """Add a composition."""
        composition = known.composition
        self._by_arn[composition.arn] = known
        self._by_id[composition.composition_id] = known
        if composition.client_token is not None:
            self._by_token[composition.account_id, composition.client_token] = known
        if known.is_running:
            self._of_stage.setdefault(composition.stage_arn, {})[composition.arn] = known

    def note_ended(self, known: KnownComposition) -> None:
        """Note that a composition has ended."""
        composition = known.composition
        of_stage = self._of_stage.get(composition.stage_arn, {})
        of_stage.pop(composition.arn, None)
        if not of_stage:
            self._of_stage.pop(composition.stage_arn, None)

    def forget_old(self, now_ms: int) -> None:
        """Forget the compositions that are not shown any more at a time in ms since the epoch."""
        for known in [each for each in self._by_arn.values() if not each.composition.is_shown(now_ms)]:
            composition = known.composition
            del self._by_arn[composition.arn]
            self._by_id.pop(composition.composition_id, None)
            token = (composition.account_id, composition.client_token or "")
            # A token that is used again before this belongs to its newest composition.
            if self._by_token.get(token) is known:
                del self._by_token[token]

    def find(self, arn: str) -> KnownComposition | None:
        """Return the composition with this ARN."""
        return self._by_arn.get(arn)

    def with_id(self, composition_id: str) -> KnownComposition | None:
        """Return the composition with this id."""
        return self._by_id.get(composition_id)

    def with_token(self, account_id: str, client_token: str) -> KnownComposition | None:
        """Return the composition that was started with this idempotency token."""
        return self._by_token.get((account_id, client_token))

    def is_composed(self, stage_arn: str) -> bool:
        """Return whether a composition of the stage runs."""
        return stage_arn in self._of_stage

    def of_stage(self, stage_arn: str) -> list[KnownComposition]:
        """Return the compositions of a stage that run."""
        return list(self._of_stage.get(stage_arn, {}).values())

    def running(self) -> Iterator[KnownComposition]:
        """Yield all that run."""
        for of_stage in list(self._of_stage.values()):
            yield from list(of_stage.values())
