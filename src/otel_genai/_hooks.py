"""Functions of Python's own library and of HTTP clients that are stood in for, when the user asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import wrapt

Wrapper = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]


class Hook:
    """One method that is stood in for; `remove()` leaves it as it was."""

    def __init__(self, owner: Any, name: str, wrapper: Wrapper) -> None:
        """Stand in for `owner.name`, which the owner itself defines."""
        self.active = True
        self._owner = owner
        self._name = name
        self._original = vars(owner)[name]

        def run(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
            return wrapper(wrapped, instance, args, kwargs) if self.active else wrapped(*args, **kwargs)

        self._ours = wrapt.FunctionWrapper(self._original, run)
        setattr(owner, name, self._ours)

    def remove(self) -> None:
        """Put the original back; under somebody else's wrapper, only fall silent."""
        self.active = False
        found = vars(self._owner).get(self._name)
        # OpenTelemetry's own `unwrap`, where it was done over ours, leaves ours in a bound form of it.
        if found is self._ours or getattr(found, "_self_parent", None) is self._ours:
            setattr(self._owner, self._name, self._original)
