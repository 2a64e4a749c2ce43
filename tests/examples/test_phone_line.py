"""The hairdresser's phone: its diary, and a whole call that ends with an appointment in it."""

import asyncio
import sqlite3
from datetime import date
from pathlib import Path

import pytest

from examples.phone_line import salon
from examples.phone_line.salon import Diary
from tools.dispatch import Dispatcher
from tools.registry import load_tools
from transports.softphone.call import Dialling, Softphone
from voice.talk.service import ServiceProcess, free_port
from voice.tooling import ToolContext, ToolResult

EXAMPLE = Path(__file__).parents[2] / "examples" / "phone_line"
CONTEXT = ToolContext("sess_1", "receptionist", "")


@pytest.fixture
def diary(monkeypatch: pytest.MonkeyPatch):
    diary = Diary()
    monkeypatch.setattr(salon, "the_diary", lambda: diary)
    yield diary
    diary.close()


@pytest.fixture
def dispatcher(diary: Diary) -> Dispatcher:
    names = [f"examples.phone_line.salon:{name}" for name in ("book_appointment", "free_hours")]
    return Dispatcher(load_tools(names, folder=EXAMPLE))


async def test_an_hour_is_booked_once(dispatcher: Dispatcher) -> None:
    wanted = '{"name": "Anna", "day": "Friday", "time": "10:00"}'
    booked = await dispatcher.run("book_appointment", wanted, CONTEXT)
    assert booked.output == "Anna has an appointment on Friday at 10 am."
    again = await dispatcher.run("book_appointment", wanted, CONTEXT)
    assert again.failed
    assert "Free are 9 am, 11 am, noon." in again.output


async def test_an_appointment_begins_on_the_hour(dispatcher: Dispatcher) -> None:
    between = await dispatcher.run("book_appointment", '{"name": "Anna", "day": "Friday", "time": "10:30"}', CONTEXT)
    assert between == ToolResult("Appointments begin on the hour. Ask for another time.", failed=True)


async def test_free_hours_leave_out_what_is_booked(dispatcher: Dispatcher, diary: Diary) -> None:
    diary.book(salon.date_of("Friday", date.today()), 9, "Ben")
    answer = await dispatcher.run("free_hours", '{"day": "Friday"}', CONTEXT)
    assert answer.output.startswith("Free on Friday: 10 am, 11 am, noon, 1 pm")


def test_a_weekday_is_the_next_one() -> None:
    assert salon.date_of("Friday", date(2026, 3, 4)) == date(2026, 3, 6)


async def test_a_call_ends_with_an_appointment_in_the_diary(tmp_path: Path) -> None:
    pytest.importorskip("hibari", reason="the embedded voice is not installed (hibari-tts)")
    from bench.harness import say

    question = say("I would like an appointment on Friday at ten. My name is Anna.")
    port, file = free_port(), tmp_path / "diary.sqlite3"
    environment = {
        "VOICE__SIP__PORT": str(port),
        "VOICE__AGENTS__RECEPTIONIST__ENGINE": "rehearsal",
        "VOICE__SIP__RTP__FIRST": "21800",
        "VOICE__SIP__RTP__LAST": "21899",
        "VOICE__AGENTS__RECEPTIONIST__GREETING": "Hello.",
        "SALON_DIARY": str(file),
    }
    config = str(EXAMPLE / "config.yaml")

    def call() -> Softphone:
        phone = Softphone(Dialling(f"sip:salon@127.0.0.1:{port}", wait_s=6.0), lambda _: None)
        asyncio.run(phone.call([question]))
        return phone

    with ServiceProcess("--config", config, environment=environment, ready_timeout_s=60):
        phone = await asyncio.to_thread(call)
    (turn,) = phone.outcome.turns
    assert turn.answer_ms is not None
    database = sqlite3.connect(file)
    assert database.execute("SELECT hour, name, phone FROM booking").fetchall() == [(10, "Anna", "softphone")]
    database.close()
