"""What a session begins with before its client has said anything: an agent's configuration, or nobody's."""

from voice.agent import Agent
from voice.protocol.session_config import AudioConfig, AudioInput, AudioOutput, SessionConfig
from voice.protocol.session_fields import SemanticVad, ServerVad, TranscriptionConfig
from voice.session.configuration import listening_only

TRANSCRIPTION_MODEL = "gpt-4o-mini-transcribe"
"""What a transcription session names until its client names another: whatever writes here is the engine's."""


def transcription_config(session_id: str, expires_at: int) -> SessionConfig:
    """Return the configuration that a transcription session begins with: nobody's instructions, and words wanted."""
    heard = AudioInput(transcription=TranscriptionConfig(model=TRANSCRIPTION_MODEL))
    config = SessionConfig(
        id=session_id, model="", expires_at=expires_at, type="transcription", audio=AudioConfig(input=heard)
    )
    return listening_only(config)


def conversation_config(agent: Agent, session_id: str, expires_at: int, *, serves_semantic_vad: bool) -> SessionConfig:
    """Return the configuration that a session of this agent begins with."""
    given = agent.turn_detection or {}
    detection: ServerVad | SemanticVad
    if given.get("type") != "semantic_vad":
        detection = ServerVad(**given)
    elif serves_semantic_vad:
        detection = SemanticVad(**given)
    else:  # better served by silence than not at all
        detection = ServerVad(
            **{name: given[name] for name in ("create_response", "interrupt_response") if name in given}
        )
    return SessionConfig(
        id=session_id,
        model=agent.name,
        expires_at=expires_at,
        instructions=agent.instructions,
        audio=AudioConfig(input=AudioInput(turn_detection=detection), output=AudioOutput(voice=agent.voice)),
    )
