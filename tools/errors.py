"""The error tree of `tools`.

ToolsError
├── ToolDefinitionError      a function cannot be a tool as it is written (function, parameter)
├── ToolLoadError            an import path of the configuration leads to no tool (also a voice `ConfigError`)
│   ├── ToolModuleNotFound   there is no such module
│   ├── ToolImportFailed     the module is there and raised while it was imported (place)
│   ├── ToolNotInModule      the module has no such name
│   ├── NotATool             the name is there and is no tool, nor a function that could be one
│   └── DuplicateTool        two tools of one agent have the same name
├── ArgumentsInvalid         remote fault: what the model wrote does not fit the schema; words for the model
├── ToolFailed               raised *by* a tool, on purpose: words that the agent speaks about
└── ThreadsExhausted         every thread for synchronous tools is held by a call that does not return
"""

from voice.errors import ConfigError


class ToolsError(Exception):
    """Root of everything this package raises on purpose."""


class ToolDefinitionError(ToolsError):
    """A function cannot be a tool as it is written; raised where it is decorated."""

    def __init__(self, message: str, *, function: str, parameter: str | None = None) -> None:
        """`message` completes the sentence that names the function and the parameter."""
        subject = f"Tool {function}(), parameter '{parameter}'" if parameter else f"Tool {function}()"
        super().__init__(f"{subject}: {message}")
        self.function = function
        self.parameter = parameter


class ToolLoadError(ToolsError, ConfigError):
    """An import path leads to no tool. It is the operator's configuration that is wrong, hence the second base."""

    def __init__(self, message: str, *, import_path: str) -> None:
        """`message` is a whole sentence; `path`, `line` and `column` stay None: whoever read the file knows them."""
        ConfigError.__init__(self, message)
        self.import_path = import_path


class ToolModuleNotFound(ToolLoadError):
    """There is no such module; `missing` is the part of its name that failed."""

    def __init__(self, message: str, *, import_path: str, missing: str) -> None:
        """`missing` is `a.b` when `a` was found and `a.b` was not."""
        super().__init__(message, import_path=import_path)
        self.missing = missing


class ToolImportFailed(ToolLoadError):
    """The module raised while it was imported."""

    def __init__(self, message: str, *, import_path: str, place: str) -> None:
        """`place` is `file:line`; the exception itself is the `__cause__`."""
        super().__init__(message, import_path=import_path)
        self.place = place


class ToolNotInModule(ToolLoadError):
    """The module has no such name."""


class NotATool(ToolLoadError):
    """The name is there, but it is neither a tool nor a function that can be made one."""


class DuplicateTool(ToolLoadError):
    """Two tools of one agent have the same name, so the model could not tell them apart."""


class ArgumentsInvalid(ToolsError):
    """The arguments that a model wrote do not fit; the text tells the model what to mend."""


class ToolFailed(ToolsError):
    """Raise this in a tool to say that it could not do what was asked, in words meant for the caller.

    Any other exception becomes a failed result too, but is logged as a fault of the tool.
    """


class ThreadsExhausted(ToolsError):
    """Every thread for synchronous tools is held by a call that was given up and has not returned."""
