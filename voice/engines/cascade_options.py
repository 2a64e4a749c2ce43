"""How a cascade works."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CascadeOptions:
    """How a cascade works; the operator's part of it stands in config.yaml."""

    temperature: float = 0.0
    max_output_tokens: int = 256
    """The longest answer, where the session does not set its own."""
    partial_every_ms: int = 500
    """New speech after which the words so far are looked at again."""
    history_chars: int = 8000
    """Past it the oldest turns are left out of the prompt; about four characters are a token."""
    asks_for_missing: bool = True
    """A tool's missing value is asked for by a ready question: at once, and right where a small model would guess."""
    unheard_reply: str = "Sorry, I didn't catch that."
    """Said when there were no words in what was heard; empty: the model answers."""
    silence_reply: str = "Are you still there?"
    """Said when the caller has said nothing for the session's `idle_timeout_ms`; empty: the model answers."""
    confused_reply: str = "Sorry, I didn't get that. Could you say it again?"
    """Said when the model had no words, or spoke of its functions instead of to the caller."""
