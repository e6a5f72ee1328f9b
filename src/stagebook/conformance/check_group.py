"""A group of hand-written checks: each is a function with a decorator that names it and the source of its rule."""

from collections.abc import Callable

from stagebook.conformance.check import Basis, Check, CheckBody, Cost


def api_page(operation: str) -> str:
    """Return the source that is the page of an operation in the API reference."""
    return f'API reference, page "{operation}"'


def user_guide(page: str) -> str:
    """Return the source that is a page of the user guide of IVS Real-Time Streaming, by the last part of its URL."""
    return f'IVS Real-Time Streaming user guide, page "{page}"'


class CheckGroup:
    """The checks of one module, in the order of the functions. `cost` is that of checks that do not give their own."""

    def __init__(self, *, cost: Cost) -> None:
        self.checks: list[Check] = []
        self._cost = cost

    def add(
        self,
        operation: str,
        rule: str,
        *,
        source: str = "",
        basis: Basis = Basis.DOCUMENTED,
        cost: Cost | None = None,
    ) -> Callable[[CheckBody], CheckBody]:
        """Return a decorator that makes a check of a function. The default source is the operation's page."""

        def decorate(body: CheckBody) -> CheckBody:
            check = Check(
                operation=operation,
                rule=rule,
                source=source or api_page(operation),
                body=body,
                basis=basis,
                cost=cost or self._cost,
            )
            self.checks.append(check)
            return body

        return decorate
