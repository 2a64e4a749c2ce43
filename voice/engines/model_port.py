"""What the cascade asks of the models, wherever they run. `voice.models.client.ModelHost` is one."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol, runtime_checkable


@runtime_checkable
class Finished(Protocol):
    """How a generation ended."""

    @property
    def reason(self) -> str:
        """`stop`, or `length` when `max_tokens` was reached."""
        ...

    @property
    def prompt_tokens(self) -> int:
        """Length of the prompt."""
        ...

    @property
    def cached_tokens(self) -> int:
        """Of those, found in the session's cache slot."""
        ...

    @property
    def output_tokens(self) -> int:
        """Tokens generated."""
        ...


class Models(Protocol):
    """Speech-to-text, a language model and text-to-speech for many sessions.

    Cancelling a task that awaits, or closing an iterator, frees the model. Raises EngineUnavailable when the models are
    gone for now, EngineOverloaded when too much waits.
    """

    async def transcribe(self, session: str, pcm: bytes, *, partial: bool = False) -> str:
        """Write 16 kHz PCM down. A partial may be dropped (empty) or wait behind everything else."""
        ...

    def generate(
        self,
        session: str,
        prompt: str,
        *,
        max_tokens: int,
        grammar: str | None = None,
        stop: Sequence[str] = (),
        temperature: float = 0.0,
    ) -> AsyncGenerator[str | Finished, None]:
        """Continue a prompt. Pieces of text, then one `Finished`."""
        ...

    async def prefill(self, session: str, prompt: str) -> None:
        """Work a prompt into the session's cache slot."""
        ...

    def speak(self, session: str, text: str, *, voice: str, speed: float) -> AsyncGenerator[bytes, None]:
        """Say a text: runs of 24 kHz PCM."""
        ...

    def release(self, session: str) -> None:
        """Free the session's cache slot. Returns at once."""
        ...
