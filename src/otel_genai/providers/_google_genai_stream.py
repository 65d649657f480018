"""Streams of the Gemini API: chunks that add up to one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.genai.types import GenerateContentResponse


class _Content:
    """What the parts of one candidate add up to: pieces of text become one."""

    __slots__ = ("_parts", "_pieces", "_thought")

    def __init__(self) -> None:
        self._parts: list[Any] = []
        self._pieces: list[str] = []
        self._thought = False

    def add(self, part: Any) -> None:
        """Take one part in."""
        if part.text is None:
            self._close()
            self._parts.append(part)
            return
        thought = bool(part.thought)
        if thought is not self._thought:
            self._close()
            self._thought = thought
        self._pieces.append(part.text)

    def _close(self) -> None:
        if self._pieces and (said := "".join(self._pieces)):
            self._parts.append({"text": said, "thought": self._thought})
        self._pieces = []

    @property
    def parts(self) -> list[Any]:
        """The parts, in order."""
        self._close()
        return self._parts


class _Candidate:
    __slots__ = ("content", "finish_reason")

    def __init__(self) -> None:
        self.finish_reason: Any = None
        self.content = _Content()


class Fold:
    """Adds chunks up to what reads like a GenerateContentResponse."""

    __slots__ = ("_candidates", "_content", "_first", "_last", "prompt_feedback", "usage_metadata")

    def __init__(self, *, content: bool) -> None:
        """Start empty."""
        self._content = content
        self._candidates: dict[int, _Candidate] = {}
        self._first: Any = None
        self._last: Any = None
        self.prompt_feedback: Any = None
        self.usage_metadata: Any = None

    def add(self, chunk: GenerateContentResponse) -> bool:
        """Take one chunk in; its counts are those of all that came so far."""
        if self._first is None:
            self._first = chunk
            self.prompt_feedback = chunk.prompt_feedback
        self._last = chunk
        if chunk.usage_metadata is not None:
            self.usage_metadata = chunk.usage_metadata
        output = False
        for place, candidate in enumerate(chunk.candidates or ()):
            index = place if candidate.index is None else candidate.index
            known = self._candidates.get(index)
            if known is None:
                known = self._candidates[index] = _Candidate()
            if candidate.finish_reason is not None:  # the SDK itself takes some away afterwards
                known.finish_reason = candidate.finish_reason
            said = candidate.content
            for part in (said.parts if said is not None else None) or ():
                output = output or part.text != ""
                if self._content:
                    known.content.add(part)
        return output

    @property
    def answer(self) -> Any:
        """Give what has been received, if anything has."""
        return None if self._first is None else self

    @property
    def complete(self) -> bool:
        """Whether every candidate that began has come to its end, or the prompt was refused."""
        if not self._candidates:
            return self.prompt_feedback is not None
        return all(candidate.finish_reason is not None for candidate in self._candidates.values())

    @property
    def candidates(self) -> list[_Candidate]:
        """The candidates, in order."""
        return list(self._candidates.values())

    @property
    def model_version(self) -> Any:
        """The model that answers."""
        return self._first.model_version or self._last.model_version

    @property
    def response_id(self) -> Any:
        """The answer's id."""
        return self._first.response_id

    @property
    def sdk_http_response(self) -> Any:
        """What came before the body."""
        return getattr(self._first, "sdk_http_response", None)  # absent before google-genai 1.22
