"""Finds tools by the import paths that a configuration names (`package.module:function`)."""

import difflib
import importlib
import importlib.util
import inspect
import pkgutil
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from tools.errors import (
    DuplicateTool,
    NotATool,
    ToolDefinitionError,
    ToolImportFailed,
    ToolLoadError,
    ToolModuleNotFound,
    ToolNotInModule,
)
from tools.function import Tool

_OWN_PACKAGES = ("voice", "transports", "sip", "tools")


def load_tools(
    sources: Sequence[str | Callable[..., Any]], *, folder: Path | None = None
) -> tuple[Tool[..., Any], ...]:
    """Return the tools, in order. A source is an import path, a tool, or a plain function, which is made a tool.

    `folder` (that of config.yaml) becomes importable, behind everything that is already.
    Raises: ToolLoadError, in one sentence that names the path and what is wrong with it.
    """
    if folder is not None and str(folder.resolve()) not in sys.path:
        # At the end: a `json.py` beside config.yaml must not hide the standard library's.
        sys.path.append(str(folder.resolve()))
        importlib.invalidate_caches()
    loaded: dict[str, tuple[str, Tool[..., Any]]] = {}
    for source in sources:
        path = source if isinstance(source, str) else _path_of(source)
        one = load_tool(source) if isinstance(source, str) else _as_tool(source, path)
        if one.name in loaded:
            first = loaded[one.name][0]
            words = f"is named twice ('{path}')" if first == path else f"is both '{first}' and '{path}'"
            raise DuplicateTool(
                f"The tool '{one.name}' {words}; give one of them another name with @tool(name=…).", import_path=path
            )
        loaded[one.name] = (path, one)
    return tuple(one for _, one in loaded.values())


def load_tool(path: str) -> Tool[..., Any]:
    """Return the tool that an import path names. Raises: ToolLoadError."""
    module_name, colon, attribute = path.partition(":")
    if not colon or not all(_is_dotted_name(part) for part in (module_name, attribute)):
        head, _, tail = path.replace(":", ".").rpartition(".")
        hint = f"; did you mean '{head}:{tail}'?" if _is_dotted_name(head) and tail.isidentifier() else ""
        raise ToolLoadError(
            f"Tool '{path}' is not an import path of the form 'package.module:function'{hint or '.'}", import_path=path
        )
    found: Any = _import(module_name, path)
    for name in attribute.split("."):
        found = _attribute(found, name, path)
    return _as_tool(found, path)


def _is_dotted_name(text: str) -> bool:
    return bool(text) and all(part.isidentifier() for part in text.split("."))


def _path_of(function: Callable[..., Any]) -> str:
    return f"{getattr(function, '__module__', '?')}:{getattr(function, '__qualname__', repr(function))}"


def _as_tool(found: Any, path: str) -> Tool[..., Any]:
    if isinstance(found, Tool):
        return found
    if not inspect.isroutine(found):
        kind = "a class" if inspect.isclass(found) else f"of type {type(found).__name__}"
        raise NotATool(f"Tool '{path}' is not a tool: it is {kind}, not a function.", import_path=path)
    try:
        return Tool(found)
    except ToolDefinitionError as error:
        raise NotATool(f"Tool '{path}' cannot be a tool. {error}", import_path=path) from error
    except ValueError as error:  # a builtin without a signature
        raise NotATool(f"Tool '{path}' cannot be a tool: {error}.", import_path=path) from error


def _import(module_name: str, path: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module_name == missing or module_name.startswith(f"{missing}."):
            raise ToolModuleNotFound(_not_found(path, missing), import_path=path, missing=missing) from None
        raise _import_failed(error, module_name, path) from error
    except (Exception, SystemExit) as error:
        # A user's module may raise anything at all; it is passed on as the cause.
        raise _import_failed(error, module_name, path) from error


def _not_found(path: str, missing: str) -> str:
    parent, _, last = missing.rpartition(".")
    if parent:
        package = importlib.import_module(parent)
        if not hasattr(package, "__path__"):
            return f"Tool '{path}': '{parent}' is a module, not a package, so there is no '{missing}'."
        siblings = [module.name for module in pkgutil.iter_modules(package.__path__)]
        near = [f"{parent}.{name}" for name in difflib.get_close_matches(last, siblings, n=1)]
        where = f"there is no module '{last}' in the package '{parent}'"
    else:
        near = difflib.get_close_matches(missing, [module.name for module in pkgutil.iter_modules()], n=1)
        where = f"there is no module '{missing}' (looked beside the configuration and in the installed packages)"
    hint = f"; did you mean '{path.replace(missing, near[0], 1)}'?" if near else "."
    return f"Tool '{path}': {where}{hint}"


def _import_failed(error: BaseException, module_name: str, path: str) -> ToolImportFailed:
    place = _place(error, module_name)
    message = str(error).splitlines()[0] if str(error) else ""
    words = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return ToolImportFailed(
        f"Tool '{path}': importing '{module_name}' raised {words} at {place}.", import_path=path, place=place
    )


def _place(error: BaseException, module_name: str) -> str:
    """Return `file:line` of the fault: in the module itself where its file is on the way, else where it was raised."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    origin = _origin(module_name)
    chosen = next((frame for frame in reversed(frames) if frame.filename == origin), frames[-1])
    return f"{chosen.filename}:{chosen.lineno}"


def _origin(module_name: str) -> str | None:
    try:
        spec = importlib.util.find_spec(module_name)
    except (ImportError, ValueError, AttributeError):
        return None  # a package above it is what failed
    return spec.origin if spec else None


def _attribute(holder: Any, name: str, path: str) -> Any:
    try:
        return getattr(holder, name)
    except AttributeError:
        pass
    is_module = isinstance(holder, ModuleType)
    holder_name = holder.__name__ if is_module else path.partition(":")[2].partition(f".{name}")[0]
    names = _tool_names(holder)
    near = difflib.get_close_matches(name, names, n=1) or [known for known in names if name in known]
    hint = f"; did you mean '{path[: len(path) - len(name)]}{near[0]}'?" if near else "."
    if is_module and holder_name.partition(".")[0] in _OWN_PACKAGES:
        hint += f" ('{holder_name}' is a package of this service: a file of yours needs another name.)"
    kind = "module" if is_module else "object"
    raise ToolNotInModule(f"Tool '{path}': the {kind} '{holder_name}' has no '{name}'{hint}", import_path=path)


def _tool_names(holder: Any) -> list[str]:
    return [name for name, value in vars(holder).items() if isinstance(value, Tool) or inspect.isroutine(value)]
