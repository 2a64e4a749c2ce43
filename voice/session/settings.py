"""From the wire's configuration to what an engine works by and what a response looks like.

A response takes the session's configuration as it stands when the response starts, and over it the overrides of its
own `response.create` (contract 3.1, 4.1).
"""

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

from voice.engines.port import EngineSettings
from voice.protocol.response_params import ResponseParams
from voice.protocol.session_config import SessionConfig
from voice.protocol.session_fields import (
    LOGPROBS,
    FunctionTool,
    NamedToolChoice,
    Tool,
    ToolChoice,
    TranscriptionConfig,
    voice_name,
)
from voice.session.response import ResponseShape
from voice.tooling import ToolSpec

_T = TypeVar("_T")


def chosen_tools(config: SessionConfig, params: ResponseParams | None = None) -> list[Tool]:
    """Return the tools that the client names, for one response or for all."""
    return _given(params, "tools", config.tools)


def engine_settings(
    config: SessionConfig,
    service_tools: Sequence[ToolSpec],
    params: ResponseParams | None = None,
    remote_tools: Sequence[ToolSpec] = (),
) -> EngineSettings:
    """Merge. A client's tool hides a service's tool of the same name: the client asked for its own.

    `remote_tools` are those of the chosen tools' MCP servers.
    """
    named = (*client_tools(chosen_tools(config, params)), *remote_tools)
    taken = {tool.name for tool in named}
    choice = _given(params, "tool_choice", config.tool_choice)
    tools = _to_choose_from(choice, (*named, *(tool for tool in service_tools if tool.name not in taken)))
    limit = _given(params, "max_output_tokens", config.max_output_tokens)
    transcription = config.audio.input.transcription
    return EngineSettings(
        instructions=_given(params, "instructions", config.instructions) or "",
        voice=_voice(config, params),
        speed=config.audio.output.speed,
        tools=tools,
        tool_choice=_choice(choice, tools),
        output_modality=_modality(config, params),
        max_output_tokens=None if limit == "inf" else limit,
        transcription_language=transcription.language if transcription else None,
        transcription_prompt=transcription.prompt if transcription else None,
        transcription_model=transcription.model if transcription else None,
        transcription_hints=_hints(transcription) if transcription else {},
        wants_logprobs=LOGPROBS in (config.include or ()),
        only_transcribes=config.type == "transcription",
        turn_detection=config.audio.input.turn_detection,
        passed_on=_passed_on(config, params),
    )


def response_shape(config: SessionConfig, params: ResponseParams | None = None) -> ResponseShape:
    """Fix what the response looks like on the wire."""
    audio_format = config.audio.output.format
    if params is not None and "format" in params.audio.output.model_fields_set:
        audio_format = params.audio.output.format
    return ResponseShape(
        modality=_modality(config, params),
        wire_format=audio_format.type,
        voice=_voice(config, params),
        max_output_tokens=_given(params, "max_output_tokens", config.max_output_tokens),
        metadata=params.metadata if params else None,
    )


def _passed_on(config: SessionConfig, params: ResponseParams | None) -> dict[str, Any]:
    """Return what models of ours do not work by, as far as it was set."""
    fields: dict[str, Any] = {
        "truncation": config.truncation if config.truncation != "auto" else None,
        "prompt": _given(params, "prompt", config.prompt),
        "tracing": config.tracing,
        "parallel_tool_calls": _given(params, "parallel_tool_calls", config.parallel_tool_calls),
        "reasoning": _given(params, "reasoning", config.reasoning),
    }
    return {
        name: value.model_dump(exclude_none=True) if isinstance(value, BaseModel) else value
        for name, value in fields.items()
        if value is not None
    }


def _hints(transcription: TranscriptionConfig) -> dict[str, Any]:
    return transcription.model_dump(include={"keywords", "languages", "delay"}, exclude_none=True)


def client_tools(tools: Sequence[Tool]) -> tuple[ToolSpec, ...]:
    """Return the client's function tools as an engine sees them."""
    return tuple(
        ToolSpec(tool.name, tool.description or "", tool.parameters or {"type": "object", "properties": {}})
        for tool in tools
        if isinstance(tool, FunctionTool)
    )


def _given(params: ResponseParams | None, name: str, default: _T) -> _T:
    if params is None or name not in params.model_fields_set:
        return default
    value: _T | None = getattr(params, name)
    return default if value is None else value


def _modality(config: SessionConfig, params: ResponseParams | None) -> Literal["audio", "text"]:
    return _given(params, "output_modalities", config.output_modalities)[0]


def _voice(config: SessionConfig, params: ResponseParams | None) -> str:
    if params is not None and "voice" in params.audio.output.model_fields_set:
        return voice_name(params.audio.output.voice)
    return config.audio.output.voice


def _to_choose_from(choice: ToolChoice, tools: tuple[ToolSpec, ...]) -> tuple[ToolSpec, ...]:
    """Return the tools of the server that has to be used, where one has; all of them elsewhere, as while it loads."""
    if not isinstance(choice, NamedToolChoice) or choice.type != "mcp" or choice.name is not None:
        return tools
    return tuple(tool for tool in tools if tool.server_label == choice.server_label) or tools


def _choice(choice: ToolChoice, tools: Sequence[ToolSpec]) -> str:
    if not isinstance(choice, NamedToolChoice):
        return choice
    if choice.type == "function":
        return choice.name or "required"
    # A server's tools may not be there yet, or never: then the model is free rather than bound to nothing.
    of_server = [tool for tool in tools if tool.server_label is not None and tool.server_label == choice.server_label]
    if choice.name is None:
        return "required" if of_server else "auto"
    names = {tool.remote.name if tool.remote else tool.name: tool.name for tool in of_server}
    return names.get(choice.name, "auto")
