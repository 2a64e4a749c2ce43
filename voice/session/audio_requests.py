"""What a client does with audio: it appends, commits and clears its own, and stops ours (contract 4.1)."""

from voice.audio.frames import CORE_RATE_HZ, SAMPLE_BYTES
from voice.audio.g711 import alaw_to_pcm, ulaw_to_pcm
from voice.errors import ContractError
from voice.protocol import client_events as client
from voice.session.conditioning import InputConditioner
from voice.session.core import Core
from voice.session.effects import FlushAudio
from voice.session.item_audio import TELEPHONE_RATE_HZ
from voice.session.playout import PlayoutLedger
from voice.session.responder import Responder
from voice.session.turn import Turn


class AudioRequests:
    """Brings the caller's audio to the turn, conditioned and at 24 kHz, in whatever form it comes."""

    def __init__(self, core: Core, turn: Turn, responder: Responder, ledger: PlayoutLedger) -> None:
        self._core = core
        self._turn = turn
        self._responder = responder
        self._ledger = ledger
        self._conditioner = InputConditioner()
        self._conditioner.configure(core.config.audio.input.noise_reduction)

    def reconfigure(self) -> None:
        """Take the noise reduction of the configuration as it stands."""
        self._hear(self._conditioner.configure(self._core.config.audio.input.noise_reduction))

    def receive(self, pcm: bytes, rate_hz: int) -> None:
        """Take the caller's next audio."""
        self._hear(self._conditioner.process(pcm, rate_hz))

    def append(self, event: client.InputAudioBufferAppend) -> None:
        """Take audio in the session's format. Raises: ContractError for half a sample."""
        match self._core.config.audio.input.format.type:
            case "audio/pcm" if len(event.audio) % SAMPLE_BYTES:
                raise ContractError(
                    f"Invalid 'audio': {len(event.audio)} bytes are not a whole number of 16-bit samples.",
                    param="audio",
                )
            case "audio/pcm":
                self.receive(event.audio, CORE_RATE_HZ)
            case "audio/pcmu":
                self.receive(ulaw_to_pcm(event.audio), TELEPHONE_RATE_HZ)
            case "audio/pcma":
                self.receive(alaw_to_pcm(event.audio), TELEPHONE_RATE_HZ)

    def commit(self) -> None:
        """The client ends the turn. Raises: ContractError when there is too little audio."""
        self._hear(self._conditioner.settle())
        self._turn.commit()

    def clear(self) -> None:
        """The client drops what it has not committed."""
        self._hear(self._conditioner.settle())
        self._turn.clear()

    def clear_output(self) -> None:
        """Contract 4.7: the client stops the server's playout; it should have cancelled the response before.

        One that has not means the same: the rest of an answer is not to be heard after a gap.
        """
        if not self._core.traits.server_plays:
            raise ContractError(
                "'output_audio_buffer.clear' is for sessions whose audio the server plays.", param="type"
            )
        for response_id in self._ledger.unfinished:
            self._responder.cancel(response_id)
        if self._ledger.is_playing:
            self._core.out.add(FlushAudio())

    def _hear(self, pcm_24k: bytes) -> None:
        if pcm_24k:
            self._turn.receive_audio(pcm_24k)
