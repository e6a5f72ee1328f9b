"""The handles of simulated participants and encoders by their ids, with a bound."""

from typing import Generic, Protocol, TypeVar

from stagebook.api.routes.api_problems import ApiProblemCode, ApiRefusedError


class Handle(Protocol):
    """What is kept."""

    @property
    def is_idle(self) -> bool:
        """Whether it has no connection and no action in progress, so that it may be forgotten."""


HandleT = TypeVar("HandleT", bound=Handle)


class HandleTable(Generic[HandleT]):
    """At most `limit` handles. A new one takes the place of the oldest one that is idle."""

    def __init__(self, *, kind: str, limit: int) -> None:
        """`kind` is what messages and ids call a handle."""
        self._kind = kind
        self._limit = limit
        self._handles: dict[str, HandleT] = {}
        self._added = 0

    def __len__(self) -> int:
        return len(self._handles)

    def add(self, handle: HandleT) -> str:
        """Keep a handle; return its id. Raises ApiRefusedError 429 if all places are taken by handles in use."""
        if len(self._handles) >= self._limit:
            idle = next((name for name, kept in self._handles.items() if kept.is_idle), None)
            if idle is None:
                raise ApiRefusedError(
                    status=429,
                    code=ApiProblemCode.TOO_MANY_REQUESTS,
                    detail=f"the server has {self._limit} {self._kind}s without media, which is the maximum",
                )
            del self._handles[idle]
        self._added += 1
        name = f"{self._kind}-{self._added}"
        self._handles[name] = handle
        return name

    def get(self, name: str) -> HandleT:
        """Return a handle. Raises ApiRefusedError 404."""
        handle = self._handles.get(name)
        if handle is None:
            raise ApiRefusedError(
                status=404, code=ApiProblemCode.NOT_FOUND, detail=f"there is no {self._kind} {name[:64]}"
            )
        return handle

    def remove(self, name: str) -> None:
        """Forget a handle. An unknown id is ignored."""
        self._handles.pop(name, None)
