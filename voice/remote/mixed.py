"""The three parts of a cascade from wherever each is: the model host in this machine, or a server."""

from collections.abc import AsyncGenerator, Callable, Sequence

from voice.engines.model_port import Finished, Models
from voice.remote.listening import RemoteListening
from voice.remote.speaking import RemoteSpeaking


class MixedModels:
    """Passes each request on to the part that it is for."""

    def __init__(
        self,
        embedded: Callable[[], Models] | None,
        *,
        listening: RemoteListening | None = None,
        speaking: RemoteSpeaking | None = None,
    ) -> None:
        """`embedded` gives the host, or raises EngineUnavailable while it is not there; None: no part needs it."""
        self._embedded = embedded
        self._listening = listening
        self._speaking = speaking

    async def transcribe(self, session: str, pcm: bytes, *, partial: bool = False) -> str:
        """Write 16 kHz PCM down. Raises: EngineError."""
        return await (self._listening or self._host()).transcribe(session, pcm, partial=partial)

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
        """Continue a prompt with the embedded model. Raises: EngineError."""
        return self._host().generate(
            session, prompt, max_tokens=max_tokens, grammar=grammar, stop=stop, temperature=temperature
        )

    async def prefill(self, session: str, prompt: str) -> None:
        """Work a prompt into the session's cache slot. Raises: EngineError."""
        await self._host().prefill(session, prompt)

    def speak(self, session: str, text: str, *, voice: str, speed: float) -> AsyncGenerator[bytes, None]:
        """Say a text: runs of 24 kHz PCM. Raises: EngineError."""
        return (self._speaking or self._host()).speak(session, text, voice=voice, speed=speed)

    def release(self, session: str) -> None:
        """Free the session's cache slot; there is none on a server."""
        if self._embedded is not None:
            self._host().release(session)

    def _host(self) -> Models:
        if self._embedded is None:
            raise RuntimeError("no part of this cascade is embedded")
        return self._embedded()
