"""How often the cascade calls the right tool with the right arguments, and how often it calls one without being asked.

    python -m bench.tools_accuracy [--json] [--model qwen2.5-coder-0.5b]

Two sets of 20 requests over three tools and 10 lines of small talk. The prompts and checks were made while looking at
the first. The second was written afterwards; its first run gave 18 of 20 and 2 false, most of them words taken for an
order number, and led to one rule (a number in a text has digits). Needs the weights (`voice models fetch`).
"""

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from voice.engines.cascade import CascadeEngine
from voice.engines.port import EngineSettings, ResponseRequest, TextDelta, ToolCallDone
from voice.models.client import ModelHost
from voice.models.settings import HostSettings
from voice.session.items import Message, TextPart
from voice.tooling import ToolSpec

DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def _tool(tool: str, description: str, /, **properties: dict[str, Any]) -> ToolSpec:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return ToolSpec(tool, description, parameters)


TEXT = {"type": "string"}
COUNT = {"type": "integer"}


@dataclass(frozen=True, slots=True)
class Case:
    """One line of a caller, and the call that it asks for."""

    said: str
    tool: str = ""
    arguments: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class CaseSet:
    """Lines for one agent."""

    name: str
    instructions: str
    tools: tuple[ToolSpec, ...]
    cases: tuple[Case, ...]


def _ask(said: str, tool: str, **arguments: Any) -> Case:
    return Case(said, tool, tuple(arguments.items()))


RESTAURANT = (
    _tool(
        "book_table",
        "Book a table for a caller.",
        name=TEXT | {"description": "Name of the caller"},
        people=COUNT | {"description": "Number of guests"},
        day=TEXT | {"enum": DAYS},
        time=TEXT | {"format": "time", "formatMinimum": "12:00", "formatMaximum": "22:00"},
    ),
    _tool(
        "cancel_booking",
        "Cancel a booking that exists.",
        name=TEXT | {"description": "Name the booking is under"},
    ),
    _tool(
        "todays_specials",
        "Look up today's special dishes of one course.",
        course=TEXT | {"enum": ["starter", "main", "dessert"]},
    ),
)
KITCHEN = (
    _tool("get_weather", "Get the weather in a city.", city=TEXT),
    _tool("set_timer", "Set a kitchen timer.", minutes=COUNT),
    _tool("play_music", "Play music of one kind.", genre=TEXT | {"enum": ["jazz", "rock", "classical", "pop"]}),
)
GARAGE = (
    _tool("order_status", "Look up the status of an order.", number=TEXT | {"description": "Order number, digits"}),
    _tool("transfer_call", "Transfer the caller to a department.", department=TEXT | {"enum": ["sales", "workshop"]}),
    _tool(
        "book_inspection",
        "Book an inspection of the caller's car.",
        day=TEXT | {"enum": DAYS[:6]},
        time=TEXT | {"format": "time", "formatMinimum": "08:00", "formatMaximum": "17:30"},
    ),
)

TUNED = (
    CaseSet(
        "restaurant",
        "You are the receptionist of the restaurant Olive Garden Corner. You speak with callers on the phone.\n"
        "Facts: We are open Tuesday to Sunday from 12:00 to 22:00, closed on Monday. The address is 12 Harbour Street. "
        "There is free parking behind the house. We have vegetarian and vegan dishes. Dogs are welcome on the terrace.",
        RESTAURANT,
        (
            _ask(
                "Could I book a table for four on Friday at seven? The name is Baker.",
                "book_table",
                name="Baker",
                people=4,
                day="Friday",
                time="19:00",
            ),
            _ask(
                "I'd like a table for two people on Saturday at eight in the evening, name of Miller.",
                "book_table",
                name="Miller",
                people=2,
                day="Saturday",
                time="20:00",
            ),
            _ask("Please cancel my booking. It's under the name Johnson.", "cancel_booking", name="Johnson"),
            _ask("What are the special desserts today?", "todays_specials", course="dessert"),
            _ask("Which starters are on special today?", "todays_specials", course="starter"),
            _ask(
                "Book a table for six on Sunday at one, for Anna Smith.",
                "book_table",
                name="Anna Smith",
                people=6,
                day="Sunday",
                time="13:00",
            ),
            _ask("This is Peter Wong. I need to cancel my reservation.", "cancel_booking", name="Peter Wong"),
            _ask("What's the main course special today?", "todays_specials", course="main"),
            _ask(
                "My name is Clark, and I want to reserve a table for three on Wednesday at half past seven.",
                "book_table",
                name="Clark",
                people=3,
                day="Wednesday",
                time="19:30",
            ),
            _ask("Can you cancel the table for Garcia, please?", "cancel_booking", name="Garcia"),
            Case("Hello there!"),
            Case("Are you open on Sunday?"),
            Case("Where are you?"),
            Case("I'd like to book a table."),
            Case("Thank you, goodbye."),
        ),
    ),
    CaseSet(
        "kitchen",
        "You are a friendly voice assistant in a kitchen.",
        KITCHEN,
        (
            _ask("What's the weather in Paris?", "get_weather", city="Paris"),
            _ask("Is it raining in Oslo today?", "get_weather", city="Oslo"),
            _ask("Set a timer for ten minutes.", "set_timer", minutes=10),
            _ask("Wake me in 25 minutes please.", "set_timer", minutes=25),
            _ask("Play some jazz.", "play_music", genre="jazz"),
            _ask("I want to hear classical music.", "play_music", genre="classical"),
            _ask("How warm is it in New York right now?", "get_weather", city="New York"),
            _ask("Timer, seven minutes.", "set_timer", minutes=7),
            _ask("Put on some rock and roll.", "play_music", genre="rock"),
            _ask("Tell me the weather for Berlin.", "get_weather", city="Berlin"),
            Case("Tell me a joke."),
            Case("What is two plus two?"),
            Case("How do I boil an egg?"),
            Case("Do you like jazz?"),
            Case("I love Paris."),
        ),
    ),
)

HELD_OUT = (
    CaseSet(
        "garage",
        "You answer the phone of Miller's garage. Facts: We are open Monday to Saturday from 8:00 to 18:00. "
        "We repair all makes. The address is 4 Mill Lane.",
        GARAGE,
        (
            _ask("Where is my order? The number is four two seven one.", "order_status", number="4271"),
            _ask("Can you check order number 9035 for me?", "order_status", number="9035"),
            _ask("I'm calling about order 118, is it ready?", "order_status", number="118"),
            _ask("Could you put me through to sales?", "transfer_call", department="sales"),
            _ask("I want to speak to somebody in the workshop.", "transfer_call", department="workshop"),
            _ask("Connect me with the sales department, please.", "transfer_call", department="sales"),
            _ask("I need an inspection on Tuesday at nine.", "book_inspection", day="Tuesday", time="09:00"),
            _ask("Book me an inspection for Thursday at two thirty.", "book_inspection", day="Thursday", time="14:30"),
            _ask(
                "Can my car be inspected on Saturday morning at quarter past ten?",
                "book_inspection",
                day="Saturday",
                time="10:15",
            ),
            _ask("Monday at 4 pm for an inspection would be great.", "book_inspection", day="Monday", time="16:00"),
            Case("Good morning."),
            Case("Do you repair Fiats?"),
            Case("What's your address?"),
            Case("Are you open on Saturday?"),
            Case("I'm not happy with my car."),
        ),
    ),
    CaseSet(
        "kitchen, new lines",
        "You are a friendly voice assistant in a kitchen.",
        KITCHEN,
        (
            _ask("Do I need an umbrella in London?", "get_weather", city="London"),
            _ask("What will the weather be like in San Francisco?", "get_weather", city="San Francisco"),
            _ask("Is Madrid sunny today?", "get_weather", city="Madrid"),
            _ask("Can you time twelve minutes for my pasta?", "set_timer", minutes=12),
            _ask("Start a 45 minute timer.", "set_timer", minutes=45),
            _ask("Remind me in three minutes.", "set_timer", minutes=3),
            _ask("I'm in the mood for pop.", "play_music", genre="pop"),
            _ask("Could you play classical, please?", "play_music", genre="classical"),
            _ask("Some jazz would be nice.", "play_music", genre="jazz"),
            _ask("Let me hear rock music.", "play_music", genre="rock"),
            Case("Thanks, that was great."),
            Case("Who wrote Hamlet?"),
            Case("I have three children."),
            Case("What can I cook with eggs?"),
            Case("Never mind."),
        ),
    ),
)


@dataclass(slots=True)
class Score:
    """What came out of one set of lines."""

    name: str
    requests: int = 0
    right: int = 0
    small_talk: int = 0
    false_calls: int = 0
    seconds_a_call: float = 0.0
    wrong: list[str] | None = None


async def run_set(host: ModelHost, title: str, sets: Sequence[CaseSet]) -> Score:
    """Ask each line in a conversation of its own."""
    score, seconds, wrong = Score(title), [], []
    for number, case_set in enumerate(sets):
        engine = CascadeEngine(host, f"tools-{title}-{number}")
        settings = EngineSettings(case_set.instructions, tools=case_set.tools, output_modality="text")
        for index, case in enumerate(case_set.cases):
            started = time.perf_counter()
            got, words = await ask(engine, settings, case.said, index)
            wanted = (case.tool, dict(case.arguments)) if case.tool else None
            if wanted:
                score.requests += 1
                score.right += got == wanted
                seconds.append(time.perf_counter() - started)
            else:
                score.small_talk += 1
                score.false_calls += got is not None
            if got != wanted:
                wrong.append(f"{case.said} -> {got or words}")
        await engine.aclose()
    score.seconds_a_call = round(sum(seconds) / max(1, len(seconds)), 2)
    score.wrong = wrong
    return score


async def ask(
    engine: CascadeEngine, settings: EngineSettings, said: str, index: int
) -> tuple[tuple[str, dict[str, Any]] | None, str]:
    """Return the call that was made, or None and the words."""
    request = ResponseRequest(f"resp_{index}", (Message(f"item_{index}", "user", (TextPart(said),)),), settings)
    call, words = None, ""
    async for event in engine.respond(request):
        if isinstance(event, ToolCallDone):
            call = (event.name, json.loads(event.arguments))
        elif isinstance(event, TextDelta):
            words += event.text
    return call, words


async def main() -> None:
    """Run both sets and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--model", default=HostSettings().language_model, help="a manifest name or a GGUF file")
    parser.add_argument("--speech-to-text", default=HostSettings().speech_to_text)
    options = parser.parse_args()
    settings = HostSettings(language_model=options.model, speech_to_text=options.speech_to_text)
    async with ModelHost(settings) as host:
        scores = [await run_set(host, "tuned", TUNED), await run_set(host, "held out", HELD_OUT)]
    if options.json:
        print(json.dumps([asdict(score) for score in scores], indent=2))
        return
    print(f"{'set':<10} {'right':>9} {'false calls':>12} {'s a call':>9}")
    for score in scores:
        right, false_calls = f"{score.right}/{score.requests}", f"{score.false_calls}/{score.small_talk}"
        print(f"{score.name:<10} {right:>9} {false_calls:>12} {score.seconds_a_call:>9.2f}")
        for line in score.wrong or ():
            print(f"    {line}")


if __name__ == "__main__":
    asyncio.run(main())
