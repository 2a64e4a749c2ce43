"""Makes a tool of a typed function.

@tool(timeout_s=5, on_interrupt="cancel")
async def weather(city: str, context: ToolContext) -> str:
    \"\"\"Tell the weather of a city.

    Args:
        city: Its name, as the caller said it.
    \"\"\"
"""

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar, get_args, overload

from tools.docstring import read_docstring
from tools.errors import ToolDefinitionError
from tools.schema import Parameters, read_signature
from voice.tooling import OnInterrupt, ToolContext, ToolSpec

DEFAULT_TIMEOUT_S = 20.0
DEFAULT_OUTPUT_BYTES = 16 * 1024
MIN_OUTPUT_BYTES = 256
"""Room for the note that says what was cut."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

P = ParamSpec("P")
R = TypeVar("R")


class Tool(Generic[P, R]):
    """A function that an agent may call. Calling it calls the plain function."""

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        description: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        on_interrupt: OnInterrupt = "finish",
        max_output_bytes: int = DEFAULT_OUTPUT_BYTES,
        max_concurrent: int | None = None,
    ) -> None:
        """See `tool` for the options. Raises: ToolDefinitionError."""
        own_name = _own_name(function)
        _check_kind(function, own_name)
        self.function = function
        self.name = name if name is not None else own_name
        if not _NAME.fullmatch(self.name):
            raise ToolDefinitionError(
                f"'{self.name}' is not a tool's name: letters, digits, '_' and '-', at most 64.", function=own_name
            )
        self.timeout_s = timeout_s
        self.on_interrupt = on_interrupt
        self.max_output_bytes = max_output_bytes
        self.max_concurrent = max_concurrent
        self._check_options(own_name)
        documentation = read_docstring(function.__doc__ if hasattr(function, "__name__") else None)
        self.description = description or documentation.description or self.name.replace("_", " ")
        self.parameters: Parameters = read_signature(function, name=own_name, descriptions=documentation.arguments)
        self.is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 -- an object whose __call__ is async, not a test for callability
        )
        functools.update_wrapper(self, function, updated=())

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the plain function: nothing is validated, cut or timed."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<Tool {self.name}>"

    def spec(self, server_label: str | None = None) -> ToolSpec:
        """Return the tool as an engine sees it."""
        return ToolSpec(self.name, self.description, self.parameters.schema, server_label, self.on_interrupt)

    def read_arguments(self, arguments: str, context: ToolContext) -> dict[str, Any]:
        """Return the keyword arguments of one call, the context among them. Raises: ArgumentsInvalid."""
        return self.parameters.read(arguments) | dict.fromkeys(self.parameters.context_names, context)

    def _check_options(self, function: str) -> None:
        if not self.timeout_s > 0:
            raise ToolDefinitionError(f"timeout_s is {self.timeout_s}, and must be above 0.", function=function)
        if self.on_interrupt not in get_args(OnInterrupt):
            raise ToolDefinitionError(
                f"on_interrupt is {self.on_interrupt!r}, and must be 'finish' or 'cancel'.", function=function
            )
        if self.max_output_bytes < MIN_OUTPUT_BYTES:
            raise ToolDefinitionError(
                f"max_output_bytes is {self.max_output_bytes}, and must be at least {MIN_OUTPUT_BYTES}.",
                function=function,
            )
        if self.max_concurrent is not None and self.max_concurrent < 1:
            raise ToolDefinitionError(
                f"max_concurrent is {self.max_concurrent}, and must be at least 1.", function=function
            )


@overload
def tool(function: Callable[P, R], /) -> Tool[P, R]: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    on_interrupt: OnInterrupt = "finish",
    max_output_bytes: int = DEFAULT_OUTPUT_BYTES,
    max_concurrent: int | None = None,
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...


def tool(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    on_interrupt: OnInterrupt = "finish",
    max_output_bytes: int = DEFAULT_OUTPUT_BYTES,
    max_concurrent: int | None = None,
) -> Tool[P, R] | Callable[[Callable[P, R]], Tool[P, R]]:
    """Make a tool of a function, as `@tool` or `@tool(...)`.

    A parameter typed `ToolContext` is filled in and not shown to the model. A synchronous function runs in a thread:
    past `timeout_s` it is given up, but cannot be stopped.

    Args:
        function: Sync or async; every other parameter is typed with what pydantic can read from JSON.
        name: What the model calls it; the function's own name if None.
        description: What the model reads; the docstring up to its first section if None.
        timeout_s: Deadline of a call, waiting for a place included.
        on_interrupt: What a barge-in does to a running call.
        max_output_bytes: What the model gets to read at most (UTF-8); what is longer is cut and says so.
        max_concurrent: Calls under way at once over all sessions of an agent; further ones wait.

    Raises: ToolDefinitionError, at decoration.
    """

    def decorate(function: Callable[P, R]) -> Tool[P, R]:
        return Tool(
            function,
            name=name,
            description=description,
            timeout_s=timeout_s,
            on_interrupt=on_interrupt,
            max_output_bytes=max_output_bytes,
            max_concurrent=max_concurrent,
        )

    return decorate if function is None else decorate(function)


def _own_name(function: object) -> str:
    inner = function.func if isinstance(function, functools.partial) else function
    return getattr(inner, "__name__", type(inner).__name__)


def _check_kind(function: object, name: str) -> None:
    if isinstance(function, Tool):
        raise ToolDefinitionError("it is a tool already.", function=name)
    if inspect.isclass(function):
        raise ToolDefinitionError("it is a class; a tool is made of a function.", function=name)
    if isinstance(function, staticmethod | classmethod):
        raise ToolDefinitionError("put @staticmethod above @tool, not below it.", function=name)
    if not callable(function):
        raise ToolDefinitionError("it cannot be called; a tool is made of a function.", function=name)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ToolDefinitionError("it yields; a tool returns one result.", function=name)
