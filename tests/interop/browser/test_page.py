"""Talking on the page, with a service that answers from a script."""

import itertools
import os
import re
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import httpx
import numpy as np
from playwright.async_api import Route, expect

from bench.chromium import loudness, read_tape
from bench.webrtc_path import BadPath, without_candidates
from tests.interop.browser.conftest import WAIT_MS, Visit
from voice.talk.service import ServiceProcess

AUDIBLE = 0.01


@asynccontextmanager
async def aclosing_path() -> AsyncIterator[BadPath]:
    """A path that can be cut."""
    path = BadPath()
    yield path
    path.close()


async def test_a_spoken_question_is_answered_aloud_and_the_answer_talked_over(
    visit: Visit, scripted: ServiceProcess, microphone: Path
) -> None:
    caller = await visit(microphone, recorded=True)
    await caller.visit(scripted.http_url, "long-answer")
    await caller.talk()
    await caller.sees("caller", "tell me a long story")
    await caller.sees("agent", "Once upon a time there was a ship")
    await caller.is_told("Speaking")
    await caller.sees_interrupted()
    await caller.sees("caller", "stop please")
    await caller.sees("agent", "All right.")
    tape = await read_tape(caller.page)
    started_s = tape.of("output_audio_buffer.started")[0][0]
    cleared_s, cleared = tape.of("output_audio_buffer.cleared")[0]
    heard = loudness(tape.agent[int(started_s * 24_000) : int(cleared_s * 24_000)])
    assert np.median(heard) > AUDIBLE
    (_, truncated), *_ = tape.of("conversation.item.truncated")
    assert 1000 < truncated["audio_end_ms"] < 10_000
    assert cleared["response_id"] == tape.of("output_audio_buffer.started")[0][1]["response_id"]
    turn = caller.page.locator(".turn", has_text="tell me a long story")
    for stage in ("turn decided", "committed", "transcript", "response", "first words", "sound leaves", "heard"):
        await expect(turn.get_by_role("row", name=stage)).to_be_visible()
    order = await caller.page.locator(".line .who").all_inner_texts()
    assert order == ["You", "Agent", "You", "Agent"]


async def test_hanging_up_ends_the_call_and_lets_the_microphone_go(
    visit: Visit, scripted: ServiceProcess, microphone: Path
) -> None:
    caller = await visit(microphone, recorded=True)
    await caller.visit(scripted.http_url, "plain")
    await caller.talk()
    await caller.is_told("Listening")
    await caller.page.get_by_role("button", name="Hang up").click()
    await caller.is_told("Call ended")
    assert await caller.page.evaluate("document.querySelector('audio').srcObject") is None
    assert await caller.page.evaluate("recorder.microphone.getTracks().every((track) => track.readyState === 'ended')")
    await expect(caller.page.get_by_role("button", name="Start talking")).to_be_focused()


async def test_a_call_that_the_service_ends_is_told_of_and_not_made_again(
    visit: Visit, scripted: ServiceProcess
) -> None:
    caller = await visit()
    await caller.visit(scripted.http_url, "plain")
    async with caller.page.expect_response("**/v1/realtime/calls") as answered:
        await caller.type("Good morning.")
    await caller.sees("agent", "Good evening and welcome.")
    location = (await (await answered.value).all_headers())["location"]
    async with httpx.AsyncClient(base_url=scripted.http_url) as client:
        assert (await client.post(f"{location}/hangup")).status_code == 200
    await caller.is_told("Call ended")
    await expect(caller.page.get_by_role("alert").first).to_contain_text("The service ended the call")


async def test_who_is_muted_is_not_heard(visit: Visit, scripted: ServiceProcess, microphone: Path) -> None:
    caller = await visit(microphone, recorded=True)
    await caller.visit(scripted.http_url, "long-answer")
    await caller.talk()
    await caller.is_told("Listening")
    await caller.page.keyboard.press("m")
    await caller.is_told("Muted")
    await expect(caller.page.get_by_role("button", name="Mute")).to_have_attribute("aria-pressed", "true")
    await caller.page.wait_for_function("recorder.read().caller.length > 24000 * 2 * 1.34 * 6", timeout=WAIT_MS)
    assert not (await read_tape(caller.page)).of("input_audio_buffer.speech_started")
    await caller.page.keyboard.press("m")
    await caller.sees("caller", "tell me a long story")  # the script's first words, whatever was said
    await caller.page.keyboard.press("m")
    await caller.page.get_by_role("button", name="Hang up").click()
    await expect(caller.page.get_by_role("button", name="Mute")).to_have_attribute("aria-pressed", "false")


async def test_a_typed_message_is_answered_and_the_answer_stopped_by_a_button(
    visit: Visit, scripted: ServiceProcess
) -> None:
    caller = await visit()
    await caller.visit(scripted.http_url, "long-answer")
    await caller.type("Tell me a story.")
    await caller.sees("caller", "Tell me a story.")
    await caller.is_told("Speaking")
    await caller.page.get_by_role("button", name="Interrupt the answer").click()
    await caller.sees_interrupted()
    await caller.is_told("Typing only")
    await caller.type("Go on.")
    await caller.sees("agent", "All right.")


async def test_typing_over_an_answer_stops_it_and_is_answered(visit: Visit, scripted: ServiceProcess) -> None:
    caller = await visit()
    await caller.visit(scripted.http_url, "long-answer")
    await caller.type("Tell me a story.")
    await caller.is_told("Speaking")
    await caller.type("No, something else.")
    await caller.sees_interrupted()
    await caller.sees("agent", "All right.")


async def test_a_tool_call_is_shown_with_what_it_gave(visit: Visit, scripted: ServiceProcess) -> None:
    caller = await visit()
    await caller.visit(scripted.http_url, "service-tool")
    await caller.type("When are you open?")
    await caller.sees("tool", "opening_hours")
    await caller.sees("agent", "from five to eleven")
    await caller.page.locator(".line.tool summary").click()
    await expect(caller.page.locator(".line.tool")).to_contain_text("Friday")


async def test_a_refused_microphone_is_told_in_words_and_typing_is_a_way_on(
    visit: Visit, scripted: ServiceProcess, microphone: Path
) -> None:
    caller = await visit(microphone, may_listen=False)
    await caller.visit(scripted.http_url, "plain")
    await caller.talk()
    await expect(caller.page.get_by_role("alert").first).to_contain_text("The microphone is blocked", timeout=WAIT_MS)
    await caller.is_told("Ready")
    await caller.page.get_by_role("button", name="Type instead").click()
    await caller.is_told("Typing only")


async def test_a_missing_microphone_is_told_in_words(visit: Visit, scripted: ServiceProcess) -> None:
    caller = await visit()
    await caller.visit(scripted.http_url, "plain")
    await caller.talk()
    await expect(caller.page.get_by_role("alert").first).to_contain_text("No microphone was found", timeout=WAIT_MS)


async def test_a_machine_without_any_network_is_told_what_browsers_need(visit: Visit, scripted: ServiceProcess) -> None:
    caller = await visit()
    # Such a browser gathers no candidate, as one does that may use relays only and is told of none.
    await caller.page.add_init_script("""
        Object.defineProperty(navigator, "onLine", { get: () => false });
        const Peer = RTCPeerConnection;
        window.RTCPeerConnection = class extends Peer {
          constructor(settings) { super({ ...settings, iceTransportPolicy: "relay" }); }
        };
    """)
    await caller.visit(scripted.http_url, "plain")
    await caller.type("Good morning.")
    await expect(caller.page.get_by_role("alert").first).to_contain_text("a virtual interface will do", timeout=WAIT_MS)
    await expect(caller.page.get_by_label("Message", exact=True)).to_have_value("Good morning.")


async def test_a_service_that_dies_is_called_again_and_told_what_was_said(
    visit: Visit, free_service: Callable[..., ServiceProcess]
) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(free_service())
        caller = await visit()
        caller.unasked = ["ERR_CONNECTION_REFUSED"]
        await caller.visit(first.http_url, "plain")
        await caller.type("Good morning.")
        await caller.sees("agent", "Good evening and welcome.")
        os.kill(first.pid, signal.SIGKILL)
        await caller.is_told("Reconnecting…")
        await expect(caller.page.get_by_role("alert").first).to_contain_text("The connection was lost")
        await caller.type("Still there?")  # sent when the connection is back
        first.stop()
        stack.enter_context(free_service(first.port))
        await caller.sees("caller", "Still there?")
        await expect(caller.page.get_by_role("alert").first).to_be_hidden()
        await expect(caller.page.locator(".line.agent")).to_have_count(2, timeout=WAIT_MS)
        await expect(caller.page.locator(".line.caller")).to_have_count(2)


async def test_a_service_that_is_deployed_anew_is_called_again_and_does_not_greet_twice(
    visit: Visit, free_service: Callable[..., ServiceProcess]
) -> None:
    greeting = {"VOICE__AGENTS__PLAIN__GREETING": "Welcome to the restaurant."}
    with ExitStack() as stack:
        first = stack.enter_context(free_service(**greeting))
        caller = await visit()
        caller.unasked = ["ERR_CONNECTION_REFUSED", "503"]
        await caller.visit(first.http_url, "plain")
        await caller.type("Good morning.")
        await caller.sees("agent", "Good evening and welcome.")
        os.kill(first.pid, signal.SIGTERM)
        await expect(caller.page.get_by_role("alert").first).to_contain_text("being restarted", timeout=WAIT_MS)
        first.stop()
        stack.enter_context(free_service(first.port, **greeting))
        await caller.is_told("Typing only")
        await expect(caller.page.get_by_role("alert").first).to_be_hidden()
        await expect(caller.page.locator("#events .sent code", has_text="conversation.item.delete")).to_be_visible()
        await expect(caller.page.locator(".line.agent", has_text="Welcome to the restaurant.")).to_have_count(1)
        await caller.type("Still there?")
        await expect(caller.page.locator(".line.caller")).to_have_count(2)
        await expect(caller.page.locator(".line.agent")).to_have_count(3, timeout=WAIT_MS)


async def test_a_caller_whose_network_changes_keeps_the_call(visit: Visit, scripted: ServiceProcess) -> None:
    caller = await visit()
    requests: list[str] = []
    async with aclosing_path() as path:

        async def answer(route: Route) -> None:
            requests.append(route.request.method)
            if route.request.method != "POST":
                await route.continue_()
                return
            # The first way leads through the relay; the one that is found when it is cut does not.
            response = await route.fetch(post_data=without_candidates(route.request.post_data or ""))
            await route.fulfill(response=response, body=await path.enter(await response.text()))

        await caller.page.route(re.compile(r"/v1/realtime/calls"), answer)
        await caller.visit(scripted.http_url, "plain")
        await caller.type("Good morning.")
        await caller.sees("agent", "Good evening and welcome.")
        async with caller.page.expect_response(lambda answer: answer.request.method == "PATCH", timeout=WAIT_MS):
            path.is_cut = True
        await caller.is_told("Typing only")
        await caller.type("Still there?")
        await expect(caller.page.locator(".line.agent")).to_have_count(2, timeout=WAIT_MS)
        assert requests == ["POST", "PATCH"]


async def test_the_keyboard_is_enough(visit: Visit, scripted: ServiceProcess, microphone: Path) -> None:
    caller = await visit(microphone)
    await caller.visit(scripted.http_url, "long-answer")
    press = caller.page.keyboard.press
    await caller.page.locator("#conversation").focus()
    await press("Tab")
    await expect(caller.page.get_by_role("button", name="Start talking")).to_be_focused()
    await press("Enter")
    await caller.is_told("Speaking")
    await press("Escape")
    await caller.sees_interrupted()
    await press("m")
    await caller.is_told("Muted")
    await expect(caller.page.get_by_role("button", name="Hang up")).to_be_focused()
    await press("Space")
    await caller.is_told("Call ended")


async def test_where_keys_are_needed_one_is_asked_for_and_kept_for_the_tab_alone(
    visit: Visit, keyed: ServiceProcess
) -> None:
    caller = await visit()
    caller.unasked = ["401"]
    await caller.page.goto(keyed.http_url)
    dialog = caller.page.get_by_role("dialog")
    await dialog.get_by_label("Key", exact=True).fill("wrong")
    await dialog.get_by_role("button", name="Continue").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("Incorrect API key", timeout=WAIT_MS)
    await dialog.get_by_label("Key", exact=True).fill("right-key")
    await dialog.get_by_role("button", name="Continue").click()
    await caller.page.get_by_label("Who answers").select_option("plain")
    await caller.type("Good morning.")
    await caller.sees("agent", "Good evening and welcome.")
    assert await caller.page.evaluate("Object.keys(localStorage).some((name) => name.includes('key'))") is False


async def test_the_newest_event_stays_in_sight_and_deltas_are_one_row(visit: Visit, scripted: ServiceProcess) -> None:
    caller = await visit(viewport={"width": 1280, "height": 600})
    await caller.visit(scripted.http_url, "long-answer")
    for number in range(2):
        await caller.type("Tell me a story.")
        await expect(caller.page.locator(".turn")).to_have_count(number + 1)  # the list has become shorter
    await caller.is_told("Speaking")
    await caller.page.wait_for_function(
        "(({scrollTop, clientHeight, scrollHeight}) => scrollTop > 0 && scrollTop + clientHeight > scrollHeight - 5)"
        "(document.querySelector('#events'))",
        timeout=WAIT_MS,
    )
    types = await caller.event_types()
    deltas = "response.output_audio_transcript.delta"
    assert all((one, other) != (deltas, deltas) for one, other in itertools.pairwise(types))


async def test_events_are_filtered_and_held(visit: Visit, scripted: ServiceProcess) -> None:
    caller = await visit()
    await caller.visit(scripted.http_url, "plain")
    await caller.type("Good morning.")
    await caller.sees("agent", "Good evening and welcome.")
    await caller.is_told("Typing only")
    assert {"session.created", "conversation.item.create"} <= set(await caller.event_types())
    await caller.page.get_by_label("Filter events").fill("response -delta")
    types = await caller.event_types()
    assert "response.done" in types
    assert all("response" in kind and "delta" not in kind for kind in types)
    await caller.page.get_by_role("button", name="Pause").click()
    await caller.type("And again.")
    await expect(caller.page.locator(".line.agent")).to_have_count(2, timeout=WAIT_MS)
    assert await caller.event_types() == types
    await caller.page.get_by_role("button", name="Resume").click()
    assert len(await caller.event_types()) > len(types)
