"""What the chat-like calls have in common: messages of theirs become items of ours, and tools become specs. Pure."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from voice.audio.frames import SAMPLE_BYTES
from voice.engines.port import EngineSettings
from voice.errors import ContractError
from voice.ids import Ids
from voice.session.items import (
    AudioPart,
    ImagePart,
    Item,
    Message,
    Part,
    TextPart,
    ToolCall,
    ToolOutput,
    pcm_duration_ms,
)
from voice.tooling import ToolSpec

DecodeAudio = Callable[[bytes], bytes]
"""Turns a file's bytes into 24 kHz PCM; raises ValueError with the reason."""


@dataclass(slots=True)
class Dialogue:
    """A conversation under construction."""

    decode_audio: DecodeAudio
    ids: Ids = field(default_factory=Ids)
    instructions: list[str] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)

    def add_message(self, role: str, parts: Sequence[Part]) -> None:
        """Add a message; what the system says before anybody else are the instructions."""
        if role in ("system", "developer"):
            text = " ".join(part.text for part in parts if isinstance(part, TextPart))
            if not self.items:
                self.instructions.append(text)
                return
            self.items.append(Message(self.ids.mint("item"), "system", (TextPart(text),)))
            return
        self.items.append(Message(self.ids.mint("item"), "user" if role == "user" else "assistant", tuple(parts)))

    def add_call(self, call_id: str, name: str, arguments: str) -> None:
        """Add a tool call of the assistant's."""
        self.items.append(ToolCall(self.ids.mint("item"), call_id, name, arguments))

    def add_output(self, call_id: str, output: str, param: str) -> None:
        """Add what a tool returned. Raises: ContractError where nobody called it."""
        if not any(isinstance(item, ToolCall) and item.call_id == call_id for item in self.items):
            raise ContractError(
                f"Invalid '{param}': no tool call with the id '{call_id[:64]}' stands before it.", param=param
            )
        self.items.append(ToolOutput(self.ids.mint("item"), call_id, output))

    def audio(self, encoded: str, param: str) -> AudioPart:
        """Return the part for a recording in base64. Raises: ContractError."""
        try:
            pcm = self.decode_audio(base64.b64decode(encoded, validate=True))
        except (binascii.Error, ValueError) as error:
            raise ContractError(f"Invalid '{param}': {error}.", param=param) from None
        return AudioPart(pcm[: len(pcm) // SAMPLE_BYTES * SAMPLE_BYTES], pcm_duration_ms(len(pcm)))


def image(url: str, detail: str | None) -> ImagePart:
    """Return the part for a picture."""
    return ImagePart(url, detail or "auto")


def tool_spec(name: str, description: str | None, parameters: dict[str, Any] | None) -> ToolSpec:
    """Return a tool of the client's."""
    return ToolSpec(name, description or "", parameters or {"type": "object", "properties": {}})


def settings_of(
    dialogue: Dialogue, tools: Sequence[ToolSpec], tool_choice: str, max_output_tokens: int | None
) -> EngineSettings:
    """Return what the engine is to work by. Raises: ContractError for a choice of a tool that is not there."""
    if tool_choice not in ("auto", "none", "required") and tool_choice not in {tool.name for tool in tools}:
        raise ContractError(f"Invalid 'tool_choice': there is no tool '{tool_choice[:64]}'.", param="tool_choice")
    if tool_choice == "required" and not tools:
        raise ContractError("Invalid 'tool_choice': 'required' needs tools.", param="tool_choice")
    return EngineSettings(
        instructions="\n\n".join(text for text in dialogue.instructions if text.strip()),
        tools=tuple(tools),
        tool_choice=tool_choice if tools else "none",
        output_modality="text",
        max_output_tokens=max_output_tokens,
    )
