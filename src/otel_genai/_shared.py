"""A context that is over for everybody who is in it, wherever they are.

A framework's callback may enter a context for its caller, and be called in a copy of it when it is time to
leave: a task that ends cannot reach into the one that waits for it. So the context itself goes back to what
was there before.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

from opentelemetry import context as otel
from opentelemetry.context import Context


class Shared(Context):
    """Holds what it was given until it ends, and from then on what the context around it holds."""

    def __init__(self, around: Context, values: Mapping[str, object], owner: object = None) -> None:
        """Begin within `around`; `owner` is whom it was made for."""
        super().__init__(values)
        self.owner = owner
        self.around = actual(around)
        self.ended = False
        self._followers: weakref.WeakValueDictionary[int, Shared] = weakref.WeakValueDictionary()

    def enter(self) -> None:
        """Make this the current context."""
        otel.attach(self)

    def end(self) -> None:
        """Be as the context around, and leave it to that one where it is possible."""
        if self.ended:
            return
        self.ended = True
        self.owner = None
        if otel.get_current() is self:
            otel.attach(actual(self.around))
        self._follow()

    def _follow(self) -> None:
        """Hold what the context around does; where that is to end, too, follow it then."""
        around = self.around = actual(self.around)
        for follower in [self, *self._followers.values()]:
            dict.update(follower, around)  # nobody may find it empty in between
            for key in [key for key in follower if key not in around]:
                dict.pop(follower, key, None)
            if isinstance(around, Shared):
                around._followers[id(follower)] = follower
        self._followers.clear()


def actual(context: Context) -> Context:
    """Give the context that one stands for which may be over."""
    while isinstance(context, Shared) and context.ended:
        context = context.around
    return context


def leave(context: Context, token: Any) -> None:
    """Leave a context, unless the code that does so runs in another one: it is not ours to leave."""
    here = otel.get_current()
    if here is context or (type(here) is Shared and actual(here) is context):
        otel.detach(token)
