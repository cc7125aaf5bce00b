"""What comes of a prompt, whichever engine wrote it. No torch here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Generated:
    """A completion, or why there is none.

    Attributes:
        text: without special tokens and leading space.
        n_tokens: generated, the end of text not counted.
        finished: false where it was cut at ``max_new_tokens``: its last piece may be incomplete.
        error: why nothing was generated (token counts only, no text), else null.
    """

    text: str
    n_tokens: int
    finished: bool
    error: str | None = None

    @classmethod
    def refused(cls, prompt: int, new: int, room: int) -> Generated:
        """A prompt that leaves no room for the answer: it is never cut. All three are numbers of tokens."""
        said = f"{prompt} tokens of prompt and {new} new ones are more than the model's context of {room}"
        return cls("", 0, False, said)
