"""One model's workers: they take jobs from its queue, work on them, and answer over the wire."""

import logging
import threading
import time
from collections.abc import Callable

from voice.errors import EngineError
from voice.models.scheduling import FairQueue, Job, QueueFull
from voice.models.wire import Done, Failed, FromHost, Generate, Prefill, Request, Speak, Transcribe

log = logging.getLogger(__name__)

Send = Callable[[FromHost], None]
Work = Callable[[Request, Send, Callable[[], bool]], Done | None]
"""Does a request: (request, send, stopped) -> how it ended, or None if it was stopped before the end."""


class Lane:
    """The queue and the worker threads of one model."""

    def __init__(self, name: str, work: Work, send: Send, *, workers: int, limit: int) -> None:
        """`work` is called in `workers` threads, never twice at a time for one session."""
        self._name = name
        self._work = work
        self._send = send
        self._queue = FairQueue(limit)
        self._changed = threading.Condition()
        self._workers = workers

    def start(self) -> None:
        """Start the workers. They are daemons: the process ends without asking them."""
        for number in range(self._workers):
            threading.Thread(target=self._serve, name=f"{self._name}-{number}", daemon=True).start()

    def accept(self, request: Request) -> None:
        """Queue a request, or refuse it at once if too many wait."""
        with self._changed:
            try:
                overtaken = self._queue.push(Job(request))
            except QueueFull:
                self._send(Failed(request.id, f"Too many requests wait for {self._name}.", overloaded=True))
                return
            self._changed.notify_all()
        for job in overtaken:
            self._send(Done(job.request.id, reason="overtaken"))

    def cancel(self, request_id: int) -> None:
        """Drop a request, waiting or running."""
        with self._changed:
            self._queue.cancel(request_id)
            self._changed.notify_all()

    def without_progress_s(self) -> float:
        """How long none of the running jobs has shown progress: one may wait for the others. 0 when none runs."""
        now_s = time.monotonic()
        with self._changed:
            return min((now_s - job.progressed_s for job in self._queue.running), default=0.0)

    def _serve(self) -> None:
        while True:
            with self._changed:
                while (job := self._queue.pop()) is None:
                    self._changed.wait()
                job.progressed_s = time.monotonic()
            done = self._attempt(job)
            with self._changed:
                self._queue.finish(job)
                if done is None and job.yielded and not job.cancelled:
                    self._queue.put_back(job)
                self._changed.notify_all()
            if done is not None and not job.cancelled:
                self._send(done)

    def _attempt(self, job: Job) -> FromHost | None:
        """Work on a job. Whatever goes wrong is that request's failure, never the worker's end."""

        def send(message: FromHost) -> None:
            if not job.cancelled:
                self._send(message)

        def stopped() -> bool:
            job.progressed_s = time.monotonic()
            return job.stopped

        try:
            return self._work(job.request, send, stopped)
        except EngineError as error:
            return Failed(job.request.id, error.message)
        except Exception as error:  # the boundary of this request
            log.exception("%s failed", self._name)
            return Failed(job.request.id, f"{self._name} failed: {type(error).__name__}.")


def lane_of(request: Request) -> str:
    """Name the lane that does a request."""
    match request:
        case Transcribe():
            return "speech-to-text"
        case Generate() | Prefill():
            return "language-model"
        case Speak():
            return "text-to-speech"
