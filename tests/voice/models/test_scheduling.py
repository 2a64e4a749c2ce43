import pytest

from voice.models.scheduling import FairQueue, Job, QueueFull
from voice.models.wire import Generate, Prefill, Transcribe


def generate(number: int, session: str) -> Job:
    return Job(Generate(number, session, "prompt", 10, None, (), 0.0))


def prefill(number: int, session: str) -> Job:
    return Job(Prefill(number, session, "prompt"))


def transcribe(number: int, session: str, *, partial: bool = False) -> Job:
    return Job(Transcribe(number, session, b"", partial))


def drain(queue: FairQueue) -> list[int]:
    """Serve one after the other until nothing waits."""
    served = []
    while (job := queue.pop()) is not None:
        served.append(job.request.id)
        queue.finish(job)
    return served


def test_sessions_are_served_in_turn_however_much_one_asks() -> None:
    queue = FairQueue(10)
    for job in (generate(1, "greedy"), generate(2, "greedy"), generate(3, "greedy"), generate(4, "modest")):
        queue.push(job)
    assert drain(queue) == [1, 4, 2, 3]


def test_one_session_has_one_job_running() -> None:
    queue = FairQueue(10)
    queue.push(generate(1, "a"))
    queue.push(generate(2, "a"))
    first = queue.pop()
    assert first is not None
    assert queue.pop() is None
    queue.finish(first)
    second = queue.pop()
    assert second is not None
    assert second.request.id == 2


def test_several_sessions_run_beside_each_other() -> None:
    queue = FairQueue(10)
    queue.push(generate(1, "a"))
    queue.push(generate(2, "b"))
    assert [job.request.id for job in (queue.pop(), queue.pop()) if job] == [1, 2]


def test_a_full_queue_refuses_and_keeps_what_it_has() -> None:
    queue = FairQueue(2)
    queue.push(generate(1, "a"))
    queue.push(generate(2, "b"))
    with pytest.raises(QueueFull):
        queue.push(generate(3, "c"))
    assert drain(queue) == [1, 2]


def test_what_runs_does_not_count_as_waiting() -> None:
    queue = FairQueue(1)
    queue.push(generate(1, "a"))
    queue.pop()
    queue.push(generate(2, "b"))
    assert len(queue) == 1


def test_a_partial_waits_for_everything_that_a_caller_waits_for() -> None:
    queue = FairQueue(10)
    queue.push(transcribe(1, "a", partial=True))
    queue.push(transcribe(2, "b"))
    assert drain(queue) == [2, 1]


def test_a_newer_partial_replaces_the_one_that_waits() -> None:
    queue = FairQueue(10)
    queue.push(transcribe(1, "a", partial=True))
    assert [job.request.id for job in queue.push(transcribe(2, "a", partial=True))] == [1]
    assert drain(queue) == [2]


def test_a_running_partial_is_finished_when_a_newer_one_comes() -> None:
    queue = FairQueue(10)
    queue.push(transcribe(1, "a", partial=True))
    running = queue.pop()
    assert running is not None
    assert queue.push(transcribe(2, "a", partial=True)) == []
    assert not running.stopped


def test_the_whole_utterance_overtakes_its_running_partial() -> None:
    queue = FairQueue(10)
    queue.push(transcribe(1, "a", partial=True))
    running = queue.pop()
    assert queue.push(transcribe(2, "a")) == [running]
    assert running is not None
    assert running.cancelled


def test_background_work_makes_room_and_is_taken_up_again() -> None:
    queue = FairQueue(10)
    queue.push(prefill(1, "a"))
    running = queue.pop()
    assert running is not None
    queue.push(generate(2, "b"))
    assert running.stopped
    assert not running.cancelled
    queue.finish(running)
    queue.put_back(running)
    assert not running.stopped
    assert drain(queue) == [2, 1]


def test_background_work_does_not_start_beside_urgent_work() -> None:
    queue = FairQueue(10)
    queue.push(generate(1, "a"))
    queue.pop()
    queue.push(prefill(2, "b"))
    assert queue.pop() is None


def test_a_prompt_to_be_answered_overtakes_the_prefill_of_its_session() -> None:
    queue = FairQueue(10)
    queue.push(prefill(1, "a"))
    running = queue.pop()
    assert queue.push(generate(2, "a")) == [running]


def test_a_cancelled_job_that_waits_is_never_served() -> None:
    queue = FairQueue(10)
    queue.push(generate(1, "a"))
    queue.push(generate(2, "a"))
    queue.push(prefill(3, "b"))
    queue.cancel(1)
    queue.cancel(3)
    assert drain(queue) == [2]
    assert len(queue) == 0


def test_a_cancelled_job_that_runs_is_told_to_stop() -> None:
    queue = FairQueue(10)
    queue.push(generate(1, "a"))
    running = queue.pop()
    queue.cancel(1)
    assert running is not None
    assert running.stopped


def test_cancelling_what_is_not_there_does_nothing() -> None:
    queue = FairQueue(10)
    queue.push(generate(1, "a"))
    queue.cancel(7)
    assert drain(queue) == [1]
