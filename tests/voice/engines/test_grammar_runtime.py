"""Every grammar that is generated has to be accepted by the runtime. Needs the weights; skipped without them."""

import asyncio
import json

import pytest

from voice.engines.candidates import candidates_of
from voice.engines.said import Said
from voice.engines.tool_grammar import build_grammar
from voice.errors import ModelError
from voice.models.client import ModelHost
from voice.models.manifest import find
from voice.models.settings import HostSettings
from voice.tooling import ToolSpec


def _weights_are_here() -> bool:
    try:
        return all(find(name) for name in ("hibari", HostSettings().speech_to_text, HostSettings().language_model))
    except ModelError:
        return False


pytestmark = pytest.mark.skipif(not _weights_are_here(), reason="the weights are not here: voice models fetch")

NOTE = ToolSpec(
    "note",
    "Take a note.",
    {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "urgent": {"type": "boolean"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "details": {"type": "object"},
            "free": {"type": "string", "x-said": False},
        },
        "required": ["text", "urgent", "tags", "details", "free"],
    },
)
SAID = 'Note: call "Anna O\'Neil" in Paris back at 7:30, table for four on Friday, naïve café 50%.'


async def test_the_runtime_takes_each_grammar(book_table: ToolSpec, get_weather: ToolSpec) -> None:
    words = Said.parse(SAID)
    async with asyncio.timeout(120), ModelHost(HostSettings()) as host:
        for tools, talks in (((), True), ((book_table,), False), ((get_weather, NOTE), False), ((NOTE,), False)):
            fields = [(tool.name, candidates_of(tool, words)) for tool in tools]
            grammar = build_grammar(fields, talks=talks)
            prompt = f"<|im_start|>user\n{SAID}<|im_end|>\n<|im_start|>assistant\n"
            pieces = [piece async for piece in host.generate("s", prompt, max_tokens=120, grammar=grammar.gbnf)]
            text = "".join(piece for piece in pieces if isinstance(piece, str))
            assert text
            if tools and not text.count('"free"'):
                assert json.loads(text)["name"] in grammar.tools
