"""What this service takes of a client's configuration, at the start of a session and in the middle of it."""

from typing import Any

from voice.errors import ContractError
from voice.protocol.session_config import AudioInputUpdate, SessionConfig, SessionUpdateBody, merge
from voice.protocol.session_fields import SemanticVad, ServerVad
from voice.session.mcp import check_servers


def reconfigured(
    config: SessionConfig,
    update: SessionUpdateBody,
    *,
    voice_is_fixed: bool,
    serves_mcp: bool,
    serves_semantic_vad: bool = True,
    is_responding: bool = False,
) -> SessionConfig:
    """Return the configuration after an update. Raises: ContractError, and then nothing has changed."""
    before = config
    config = merge(config, update, voice_is_fixed=voice_is_fixed)
    if config.type == "transcription":
        config = listening_only(config, asked=update.audio.input)
    if is_responding and config.audio.output.speed != before.audio.output.speed:
        raise ContractError(
            "Cannot update the speed while a response is in progress. Wait until the response is finished.",
            param="session.audio.output.speed",
        )
    check_servers(config.tools, "session.tools", served=serves_mcp)
    if isinstance(config.audio.input.turn_detection, SemanticVad) and not serves_semantic_vad:
        raise ContractError(
            "Invalid value: 'semantic_vad'. Supported values are: 'server_vad' and null. "
            "The turn-completion model is not on this machine.",
            param="session.audio.input.turn_detection.type",
        )
    return config


STREAMING_MODELS = ("gpt-realtime-whisper", "gpt-live-transcribe")
"""Transcription models whose clients commit by hand (contract 3.3)."""


def listening_only(config: SessionConfig, *, asked: AudioInputUpdate | None = None) -> SessionConfig:
    """Return a transcription session's configuration with a turn detection that never lets anybody answer.

    Raises: ContractError where `asked` names a turn detection for a model that has none.
    """
    heard = config.audio.input
    detection = heard.turn_detection
    if detection is not None and heard.transcription is not None and heard.transcription.model in STREAMING_MODELS:
        if asked is not None and "turn_detection" in asked.model_fields_set:
            raise ContractError(
                "Turn detection is not supported for this transcription model.",
                param="session.audio.input.turn_detection",
            )
        detection = None
    if detection is not None:
        silent: dict[str, Any] = {"create_response": False, "interrupt_response": False}
        if isinstance(detection, ServerVad):
            silent["idle_timeout_ms"] = None
        detection = detection.model_copy(update=silent)
    listening = heard.model_copy(update={"turn_detection": detection})
    return config.model_copy(update={"audio": config.audio.model_copy(update={"input": listening})})
