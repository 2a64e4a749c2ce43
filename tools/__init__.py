"""The tools that agents use: functions, dispatch, schema."""

from tools.dispatch import Dispatcher, DispatchLimits
from tools.errors import ToolDefinitionError, ToolFailed, ToolLoadError, ToolsError
from tools.function import Tool, tool
from tools.registry import load_tool, load_tools
from tools.threads import ThreadPool
from voice.tooling import ToolContext, ToolResult

__all__ = [
    "DispatchLimits",
    "Dispatcher",
    "ThreadPool",
    "Tool",
    "ToolContext",
    "ToolDefinitionError",
    "ToolFailed",
    "ToolLoadError",
    "ToolResult",
    "ToolsError",
    "load_tool",
    "load_tools",
    "tool",
]
