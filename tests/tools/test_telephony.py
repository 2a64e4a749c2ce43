"""Keys that an agent presses: only on a telephone, only keys, and only where the other side takes them."""

import json
from dataclasses import dataclass, field

import pytest

from tools import Dispatcher, ToolContext, ToolResult, load_tools


@dataclass
class Phone:
    """A call that notes what is pressed."""

    takes_keys: bool = True
    trunk: str = "carrier"
    caller: str = "+15550123"
    called: str = "+15550100"
    headers: tuple[tuple[str, str], ...] = ()
    pressed: list[str] = field(default_factory=list)

    def press(self, keys: str) -> bool:
        self.pressed.append(keys)
        return self.takes_keys


async def press(keys: str, phone: Phone | None) -> ToolResult:
    tools = Dispatcher(load_tools(["tools.telephony:press_keys"]))
    return await tools.run("press_keys", json.dumps({"keys": keys}), ToolContext("sess_1", "desk", "", phone))


async def test_keys_are_pressed_on_the_telephone() -> None:
    phone = Phone()
    assert not (await press("1,2#", phone)).failed
    assert phone.pressed == ["1,2#"]


@pytest.mark.parametrize("keys", ["", "12x", "1" * 65])
async def test_what_is_no_key_reaches_no_telephone(keys: str) -> None:
    phone = Phone()
    assert (await press(keys, phone)).failed
    assert phone.pressed == []


async def test_the_agent_learns_that_there_are_no_keys() -> None:
    assert await press("1", None) == ToolResult("This is no phone call: there are no keys to press.", failed=True)
    assert await press("1", Phone(takes_keys=False)) == ToolResult("The other side takes no keys.", failed=True)
