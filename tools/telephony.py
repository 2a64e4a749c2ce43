"""What an agent can do on the telephone, besides talking. In config.yaml: `tools: [tools.telephony:press_keys]`."""

from typing import Annotated

from pydantic import Field

from tools.errors import ToolFailed
from tools.function import tool
from voice.tooling import ToolContext


@tool(timeout_s=5)
def press_keys(
    keys: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[0-9*#A-Da-d,]+$")], context: ToolContext
) -> str:
    """Press keys of the telephone, for the menu of a machine at the other end or a door that opens by a key.

    Args:
        keys: The keys in their order, 0-9, * and #; a comma is a pause of half a second.
    """
    if context.phone is None:
        raise ToolFailed("This is no phone call: there are no keys to press.")
    if not context.phone.press(keys):
        raise ToolFailed("The other side takes no keys.")
    return "The keys are being pressed."
