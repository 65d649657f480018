"""Has the shape of `vllm.LLM`, and one answer."""  # noqa: INP001 (on the path as the library itself would be)

from dataclasses import dataclass
from types import SimpleNamespace


@dataclass
class SamplingParams:
    """What is asked for besides."""

    temperature: float
    max_tokens: int


class LLM:
    """A model that says what it always says."""

    def __init__(self, model: str) -> None:
        """Be any model."""
        self.model = model

    def chat(self, messages: list, sampling_params: SamplingParams) -> list:
        """Answer one conversation: https://docs.vllm.ai/en/latest/api/vllm/outputs.html."""
        assert [message["role"] for message in messages] == ["user"]
        text = "It scatters."
        answer = SimpleNamespace(text=text, token_ids=[7, 8, 9], finish_reason="stop")
        assert len(answer.token_ids) <= sampling_params.max_tokens
        given = {"request_id": "0", "prompt_token_ids": [1, 2, 3, 4, 5], "num_cached_tokens": 2}
        return [SimpleNamespace(**given, outputs=[answer])]
