"""Import paths that lead to tools, and one clear sentence for each that does not."""

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tools import ToolLoadError, load_tool, load_tools, tool
from tools.errors import DuplicateTool, NotATool, ToolImportFailed, ToolModuleNotFound, ToolNotInModule
from voice.errors import ConfigError

MODULES = {
    "house/__init__.py": "",
    "house/booking.py": """
        from tools import tool

        @tool(name="reserve")
        def book_table(name: str) -> str:
            return name

        def plain(day: str) -> str:
            "Say the day."
            return day

        class Desk:
            @staticmethod
            def ring(times: int) -> None: ...

        def untyped(day): ...

        number = 5
        """,
    "house/needs_more.py": "import os\nimport no_such_dependency",
    "house/raises.py": "import os\n\ndef fail():\n    raise ValueError('no key')\n\nfail()",
    "house/in_library.py": "import json\n\njson.loads('{')",
    "house/exits.py": "raise SystemExit(2)",
    "house/broken.py": "x = 1\ny = (",
    "house/bad_tool.py": "from tools import tool\n\n@tool\ndef book(day): ...\n",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    for name, code in MODULES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(dedent(code))
    before, modules = list(sys.path), set(sys.modules)
    load_tools([], folder=tmp_path)
    yield tmp_path
    sys.path[:] = before
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def test_import_paths_become_tools_in_order() -> None:
    loaded = load_tools(["house.booking:plain", "house.booking:book_table", "house.booking:Desk.ring"])
    assert [one.name for one in loaded] == ["plain", "reserve", "ring"]
    assert loaded[0].description == "Say the day."


def test_functions_and_tools_may_be_given_themselves() -> None:
    def greet(name: str) -> str:
        return name

    @tool
    def part() -> None: ...

    assert [one.name for one in load_tools([greet, part])] == ["greet", "part"]


def test_the_folder_of_the_configuration_hides_nothing(folder: Path) -> None:
    assert sys.path[-1] == str(folder)
    load_tools([], folder=folder)
    assert sys.path.count(str(folder)) == 1


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("hose.booking:plain", ToolModuleNotFound, "there is no module 'hose'"),
        ("hose.booking:plain", ToolModuleNotFound, "did you mean 'house.booking:plain'?"),
        ("house.boking:plain", ToolModuleNotFound, "there is no module 'boking' in the package 'house'"),
        ("house.boking:plain", ToolModuleNotFound, "did you mean 'house.booking:plain'?"),
        ("house.booking.plain:x", ToolModuleNotFound, "'house.booking' is a module, not a package"),
        ("zzqqxx:plain", ToolModuleNotFound, "in the installed packages)."),
        (
            "house.booking:book",
            ToolNotInModule,
            "module 'house.booking' has no 'book'; did you mean 'house.booking:book_table'?",
        ),
        ("house.booking:book_tabel", ToolNotInModule, "did you mean 'house.booking:book_table'?"),
        ("house.booking:Desk.rung", ToolNotInModule, "the object 'Desk' has no 'rung'; did you mean"),
        ("tools:book_table", ToolNotInModule, "a file of yours needs another name"),
        ("house.needs_more:x", ToolImportFailed, "raised ModuleNotFoundError: No module named 'no_such_dependency' at"),
        ("house.needs_more:x", ToolImportFailed, "needs_more.py:2."),
        ("house.raises:x", ToolImportFailed, "raised ValueError: no key at"),
        ("house.raises:x", ToolImportFailed, "raises.py:4."),
        ("house.in_library:x", ToolImportFailed, "in_library.py:3."),
        ("house.exits:x", ToolImportFailed, "raised SystemExit: 2 at"),
        ("house.broken:x", ToolImportFailed, "broken.py:2."),
        ("house.bad_tool:book", ToolImportFailed, "Tool book(), parameter 'day': it has no type."),
        ("house.bad_tool:book", ToolImportFailed, "bad_tool.py:3."),
        ("house.booking:number", NotATool, "is not a tool: it is of type int, not a function."),
        ("house.booking:Desk", NotATool, "is not a tool: it is a class, not a function."),
        ("house.booking:untyped", NotATool, "parameter 'day': it has no type."),
        ("house.booking.plain", ToolLoadError, "did you mean 'house.booking:plain'?"),
        ("house:booking:plain", ToolLoadError, "did you mean 'house.booking:plain'?"),
        ("", ToolLoadError, "not an import path of the form"),
        ("../house:plain", ToolLoadError, "not an import path of the form 'package.module:function'."),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(path: str, kind: type[ToolLoadError], words: str) -> None:
    with pytest.raises(ToolLoadError) as caught:
        load_tool(path)
    assert type(caught.value) is kind
    assert caught.value.import_path == path
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"Tool '{path}'")
    assert "\n" not in str(caught.value)


def test_a_load_error_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError):
        load_tool("nowhere:nothing")


def test_one_tool_twice_is_refused() -> None:
    with pytest.raises(DuplicateTool, match="'plain' is named twice"):
        load_tools(["house.booking:plain", "house.booking:plain"])


def test_two_tools_of_one_name_are_refused() -> None:
    @tool(name="reserve")
    def other() -> None: ...

    with pytest.raises(DuplicateTool, match=r"is both 'house.booking:book_table' and '.*other'; give one"):
        load_tools(["house.booking:book_table", other])
