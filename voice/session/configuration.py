"""What this service takes of a client's configuration, at the start of a session and in the middle of it."""

from voice.errors import ContractError
from voice.protocol.session_config import SessionConfig, SessionUpdateBody, merge
from voice.protocol.session_fields import SemanticVad
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
