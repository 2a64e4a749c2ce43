"""Who is served next: bounded, fair between sessions, and real work before guesses. Pure: no threads, no clock.

urgent      a caller waits for it                       sessions in turn, each session's own in order
background  partial transcripts and prefills            only while nothing urgent runs or waits
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from voice.models.wire import Prefill, Request, Transcribe


class QueueFull(Exception):
    """As many requests wait as may."""


@dataclass(eq=False, slots=True)
class Job:
    """One request on its way through the host."""

    request: Request
    cancelled: bool = False
    """Nobody wants the answer any more; whoever works on it stops at the next token, batch or clause."""
    yielded: bool = False
    """It has to make room for urgent work and will be taken up again."""
    running: bool = field(default=False)
    progressed_s: float = 0.0
    """When whoever works on it last asked whether to stop, on the worker's clock."""

    @property
    def background(self) -> bool:
        """Whether it gives way to all that a caller waits for."""
        return isinstance(self.request, Prefill) or (isinstance(self.request, Transcribe) and self.request.partial)

    @property
    def stopped(self) -> bool:
        """Whether to stop working on it now."""
        return self.cancelled or self.yielded


class FairQueue:
    """The waiting and the running jobs of one model."""

    def __init__(self, limit: int) -> None:
        """`limit` bounds what waits; what runs is not counted."""
        self._limit = limit
        self._urgent: OrderedDict[str, deque[Job]] = OrderedDict()
        self._background: OrderedDict[str, deque[Job]] = OrderedDict()
        self._running: list[Job] = []
        self._waiting = 0

    def __len__(self) -> int:
        """How many jobs wait."""
        return self._waiting

    @property
    def running(self) -> tuple[Job, ...]:
        """The jobs being worked on."""
        return tuple(self._running)

    def push(self, job: Job) -> list[Job]:
        """Let a job wait. Returns the background jobs of its session that it makes pointless; they are withdrawn.

        A new partial transcript overtakes an older one; the whole utterance overtakes its partials; a prompt that is
        to be answered, or a newer prefill, overtakes a prefill. Running background work is told to yield to an urgent
        job, and to stop for good if it is of the same session.

        Raises: QueueFull.
        """
        overtaken = self._withdraw_background(job)
        if self._waiting >= self._limit:
            raise QueueFull
        self._put(job)
        if not job.background:
            for other in self._running:
                other.yielded = other.yielded or other.background
        return overtaken

    def put_back(self, job: Job) -> None:
        """Let a job that yielded wait again, at the head of its session and above the limit: it was accepted once."""
        job.yielded = False
        self._put(job, first=True)

    def pop(self) -> Job | None:
        """Take the next job, or None if none may start now. The caller ends it with `finish`."""
        busy = {job.request.session for job in self._running}
        job = self._take(self._urgent, busy)
        if job is None and not self._urgent and all(other.background for other in self._running):
            job = self._take(self._background, busy)
        if job is not None:
            self._running.append(job)
            job.running = True
        return job

    def finish(self, job: Job) -> None:
        """Say that a job from `pop` has ended, however it did."""
        self._running.remove(job)
        job.running = False

    def cancel(self, request_id: int) -> None:
        """Forget a waiting request; tell a running one to stop."""
        for job in self._running:
            if job.request.id == request_id:
                job.cancelled = True
                return
        for queues in (self._urgent, self._background):
            for waiting in queues.values():
                for job in waiting:
                    if job.request.id == request_id:
                        job.cancelled = True
                        self._remove(queues, job)
                        return

    def _put(self, job: Job, *, first: bool = False) -> None:
        queues = self._background if job.background else self._urgent
        waiting = queues.setdefault(job.request.session, deque())
        (waiting.appendleft if first else waiting.append)(job)
        self._waiting += 1

    def _take(self, queues: "OrderedDict[str, deque[Job]]", busy: set[str]) -> Job | None:
        """Take the oldest job of the session that has waited longest since its last turn and has nothing running."""
        for session, waiting in queues.items():
            if session in busy:
                continue
            job = waiting.popleft()
            self._waiting -= 1
            if waiting:
                queues.move_to_end(session)
            else:
                del queues[session]
            return job
        return None

    def _remove(self, queues: "OrderedDict[str, deque[Job]]", job: Job) -> None:
        waiting = queues[job.request.session]
        waiting.remove(job)
        self._waiting -= 1
        if not waiting:
            del queues[job.request.session]

    def _withdraw_background(self, job: Job) -> list[Job]:
        """Take out what `job` makes pointless in its own session."""
        session = job.request.session
        overtaken = list(self._background.get(session, ()))
        for other in overtaken:
            self._remove(self._background, other)
        for other in self._running:
            # A running prefill is stopped only by what needs its slot; what it has computed stays in the cache.
            if other.request.session == session and other.background and not other.cancelled:
                if job.background and isinstance(job.request, Transcribe):
                    continue
                other.cancelled = True
                overtaken.append(other)
        return overtaken
