"""What LiteLLM answers with: objects that lack what they do not know, and hide some of what they do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from otel_genai import content
from otel_genai import semconv as s
from otel_genai.providers import _chat_stream, _responses
from otel_genai.spec import Attributes, view

_PLAIN = (str, int, float)
_MADE_UP = ("stop", "tool_calls")


class Lenient:
    """An object of LiteLLM's, whose attributes come and go; what is missing reads as None."""

    __slots__ = ("_of",)

    def __init__(self, of: Any) -> None:
        """Stand before one object."""
        self._of = of

    def __getattr__(self, name: str) -> Any:
        """Read an attribute."""
        return lenient(getattr(self._of, name, None))

    def model_dump(self, **options: Any) -> Any:
        """Give it as plain data."""
        return self._of.model_dump(**options)


def lenient(value: Any) -> Any:
    """Make whatever LiteLLM gives readable by attribute."""
    if value is None or isinstance(value, _PLAIN):
        return value
    if isinstance(value, list):
        return [lenient(item) for item in value]
    return view(value) if isinstance(value, dict) else Lenient(value)


def is_told(usage: Any) -> bool:
    """Whether counts are any: LiteLLM says zero where it was told none, and no prompt has no tokens."""
    return usage is not None and bool(usage.prompt_tokens)


def is_usage(chunk: Any) -> bool:
    """Whether a chunk has come for its usage alone: after all others, and LiteLLM gives it a choice."""
    chunk = lenient(chunk)
    said = [one for choice in chunk.choices for one in (choice.finish_reason, choice.delta.content)]
    return chunk.usage is not None and not any(said)


class _Counted(_chat_stream.Fold):
    """Keeps what the hidden parameters of the chunks say."""

    __slots__ = ("_hidden_params", "_model", "_told")

    def __init__(self, *, content: bool) -> None:
        """Start empty."""
        super().__init__(content=content)
        self._hidden_params: Any = None
        self._model: Any = None
        self._told: Any = None

    def read(self, chunk: Any) -> Any:
        """Make a chunk readable, and keep what it hides; its usage while it is still the provider's."""
        chunk = lenient(chunk)
        hidden = chunk._hidden_params
        if hidden is not None:
            self._hidden_params = hidden
            self._model = hidden.provider_response_model or self._model
            if is_told(hidden.usage):
                self._told = hidden.usage
        return chunk

    @property
    def usage(self) -> Any:
        """What was used, by the provider's count.

        Where it told none, LiteLLM puts one of its own into the last chunk at the stream's end; that one has
        no details of the prompt. Where it told one after all else, it comes there, too.
        """
        if self._told is not None:
            return self._told
        hidden = self._hidden_params
        late = (None if hidden is None else hidden.usage, super().usage)
        return next((u for u in late if u is not None and u.prompt_tokens_details is not None), None)

    @property
    def model(self) -> Any:
        """The model that answers; the chunks themselves name the one that was asked."""
        return self._model

    @property
    def asked(self) -> Any:
        """The model that was asked."""
        return super().model


class Fold(_Counted):
    """Adds the chunks of a chat up, but for an end that is LiteLLM's own."""

    __slots__ = ("_is_cut",)

    def __init__(self, *, content: bool) -> None:
        """Start empty."""
        super().__init__(content=content)
        self._is_cut = False

    def add(self, chunk: Any) -> bool:
        """Take one chunk in."""
        before = self._model
        chunk = self.read(chunk)
        self._is_cut = self._is_cut or (before is not None and self._is_made_up(chunk))
        return False if self._is_cut else super().add(chunk)

    @property
    def usage(self) -> Any:
        """What was used; nobody says so of a stream that was cut."""
        return None if self._is_cut else super().usage

    def _is_made_up(self, chunk: Any) -> bool:
        """Whether a chunk ends a stream that the provider did not end.

        LiteLLM does so where the connection is closed early. Such a chunk was made of none of the provider's,
        so it does not say which model the provider named, and nobody has told the usage.
        """
        hidden = chunk._hidden_params
        if self._told is not None or (hidden is not None and hidden.provider_response_model is not None):
            return False
        return any(choice.finish_reason in _MADE_UP for choice in chunk.choices)


class _Text:
    __slots__ = ("finish_reason", "text")

    def __init__(self) -> None:
        self.finish_reason: Any = None
        self.text = ""


class CompletionFold(_Counted):
    """Adds the chunks of a legacy completion up."""

    __slots__ = ("_texts",)

    def __init__(self, *, content: bool) -> None:
        """Start empty."""
        super().__init__(content=content)
        self._texts: dict[Any, _Text] = {}

    def add(self, chunk: Any) -> bool:
        """Take one chunk in."""
        chunk = self._last = self.read(chunk)
        self._head = self._head or chunk
        choices = chunk.choices or ()
        for choice in choices:
            known = self._texts.setdefault(choice.index, _Text())
            known.finish_reason = choice.finish_reason or known.finish_reason
            if self._content:
                known.text += choice.text or ""
        return any(choice.text for choice in choices)

    @property
    def choices(self) -> list[Any]:
        """The choices, in order."""
        return list(self._texts.values())


class ResponsesFold(_responses.Fold):
    """Takes the response from the event that carries it whole."""

    __slots__ = ()

    def add(self, event: Any) -> bool:
        """Take one event in."""
        return super().add(lenient(event))


def prompts(body: Any) -> list[content.Message]:
    """Read the prompt of a legacy completion: a string, or several."""
    prompt = body.get("prompt")
    given = [prompt] if isinstance(prompt, str) else prompt
    return [content.message("user", [content.text(p)]) for p in given or () if isinstance(p, str)]


def texts(r: Any) -> list[content.Message]:
    """Read the choices of a legacy completion."""
    return [
        content.message("assistant", [content.text(choice.text)], None, choice.finish_reason)
        for choice in r.choices
    ]


def error(raised: Any) -> Attributes:
    """Tell the status that was answered: LiteLLM's errors have one even where nothing was answered."""
    answers = [cause.response for cause in _causes(raised) if _is_of_http(cause)]
    body = getattr(raised, "body", None)
    code = body.get("code") if isinstance(body, dict) else None
    return {
        s.HTTP_STATUS_CODE: answers[0].status_code if answers else None,
        s.ERROR_TYPE: code if code == "insufficient_quota" else None,  # no matter of waiting
    }


def _causes(raised: BaseException | None) -> Iterator[Any]:
    for _ in range(20):  # an error can be its own cause's cause
        if raised is None:
            return
        yield raised
        raised = raised.__cause__ or raised.__context__


def _is_of_http(raised: Any) -> bool:
    return any(cls.__name__ == "HTTPStatusError" for cls in type(raised).__mro__)
