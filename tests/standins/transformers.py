"""Has the shape of `transformers`' language models, and one answer."""  # noqa: INP001 (on the path as the library itself would be)

from __future__ import annotations


class Tensor:
    """Rows of numbers, as far as the documents look at them."""

    def __init__(self, rows: list) -> None:
        """Hold the rows."""
        self.rows = rows

    @property
    def shape(self) -> tuple[int, int]:
        """How many rows there are, and how long they are."""
        return len(self.rows), len(self.rows[0])

    def __getitem__(self, row: int) -> list:
        """Give one row."""
        return self.rows[row]


class AutoTokenizer:
    """Words by number."""

    eos_token_id = 9

    @classmethod
    def from_pretrained(cls, model: str) -> AutoTokenizer:
        """Be any model's."""
        return cls()

    def apply_chat_template(self, messages: list, **how: object) -> dict:
        """Give the prompt: https://huggingface.co/docs/transformers/main/chat_templating."""
        assert [message["role"] for message in messages] == ["user"]
        assert how == {"add_generation_prompt": True, "return_dict": True, "return_tensors": "pt"}
        return {"input_ids": Tensor([[1, 2, 3, 4, 5]]), "attention_mask": Tensor([[1] * 5])}

    def decode(self, ids: list, *, skip_special_tokens: bool) -> str:
        """Give the text."""
        assert skip_special_tokens
        assert ids == [7, 8, 9]
        return "It scatters."


class AutoModelForCausalLM:
    """A model that says what it always says."""

    @classmethod
    def from_pretrained(cls, model: str) -> AutoModelForCausalLM:
        """Be any model."""
        return cls()

    def generate(self, input_ids: Tensor, attention_mask: Tensor, max_new_tokens: int) -> Tensor:
        """Give what was asked, and what is said."""
        assert attention_mask.shape == input_ids.shape
        assert max_new_tokens >= len([7, 8, 9])
        return Tensor([[*input_ids[0], 7, 8, 9]])
