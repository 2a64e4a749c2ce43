"""The process that holds the models: `python -m voice.models.host FD`, started by voice.models.client only.

    main thread        reads requests from the socket, hands each to its lane
    lanes' workers     compute, answer through one locked send
    end of file        the parent is gone: the process ends at once, whatever is computing

It ignores SIGINT and SIGTERM, which a terminal and a service manager send to the whole group: the parent drains its
calls first and then closes the socket.
"""

import faulthandler
import os
import resource
import shutil
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from voice.errors import EngineError
from voice.models.lanes import Lane, lane_of
from voice.models.wire import (
    Beat,
    Cancel,
    Failed,
    FromHost,
    Load,
    Loaded,
    Release,
    Request,
    ToHost,
    Unpacker,
    decode_to_host,
    pack,
)
from voice.models.workers import Worker, load_worker

_READ_BYTES = 1 << 18


class Host:
    """The host's end of the socket."""

    def __init__(self, connection: socket.socket) -> None:
        """`connection` is connected to the media process, blocking."""
        self._connection = connection
        self._sending = threading.Lock()
        self._lanes: dict[str, Lane] = {}
        self._workers: dict[str, Worker] = {}
        self._prompt_cache_dir = ""

    def serve(self) -> None:
        """Serve until the parent is gone."""
        unpacker = Unpacker()
        while data := self._connection.recv(_READ_BYTES):
            for body in unpacker.feed(data):
                self._receive(decode_to_host(body))

    def clean_up(self) -> None:
        """Remove the computed prompts, in case the parent was killed and cannot."""
        if self._prompt_cache_dir:
            shutil.rmtree(self._prompt_cache_dir, ignore_errors=True)

    def _receive(self, message: ToHost) -> None:
        match message:
            case Load():
                self._prompt_cache_dir = message.settings.prompt_cache_dir
                # Loading must not keep this thread from seeing that the parent is gone.
                threading.Thread(target=self._load, args=(message,), name="load", daemon=True).start()
            case Cancel():
                for lane in self._lanes.values():
                    lane.cancel(message.id)
            case Release():
                for worker in self._workers.values():
                    worker.release(message.session)
            case _:
                self._accept(message)

    def _accept(self, request: Request) -> None:
        lane = self._lanes.get(lane_of(request))
        if lane is None:
            self._send(Failed(request.id, f"No {lane_of(request)} model is loaded here."))
        else:
            lane.accept(request)

    def _load(self, load: Load) -> None:
        """Load the models at the same time, then answer Loaded or Failed; from then on, beat."""
        seconds: dict[str, float] = {}
        lanes = load.settings.lanes

        def one(lane: str) -> Worker:
            started = time.monotonic()
            worker = load_worker(lane, load)
            seconds[lane] = time.monotonic() - started
            return worker

        try:
            with ThreadPoolExecutor(len(lanes)) as pool:
                self._workers = dict(zip(lanes, pool.map(one, lanes), strict=True))
        except EngineError as error:
            self._send(Failed(0, error.message))
            return
        except Exception as error:  # noqa: BLE001 - the runtimes raise anything for a broken file; the parent is told
            self._send(Failed(0, f"The models cannot be loaded: {error}"))
            return
        for lane in lanes:
            workers = load.settings.slots if lane == "language-model" else 1
            self._lanes[lane] = Lane(
                lane, self._workers[lane].work, self._send, workers=workers, limit=load.settings.queue_limit
            )
            self._lanes[lane].start()
        self._send(Loaded(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))
        self._beat(load.settings.beat_s)

    def _beat(self, every_s: float) -> None:
        """Say for ever that the process lives, and how its workers do."""
        while True:
            time.sleep(every_s)
            self._send(Beat(max((lane.without_progress_s() for lane in self._lanes.values()), default=0.0)))

    def _send(self, message: FromHost) -> None:
        """Send to the parent, from any thread. A parent that is gone is noticed by `serve`."""
        try:
            with self._sending:
                self._connection.sendall(pack(message))
        except OSError:
            return


def main() -> None:
    """Take over the socket that the parent passed and serve."""
    faulthandler.enable()
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    connection = socket.socket(fileno=int(sys.argv[1]))
    if len(sys.argv) > 2:
        os.nice(int(sys.argv[2]))
    host = Host(connection)
    try:
        host.serve()
    finally:
        host.clean_up()
        # Without this, the interpreter would wait for C++ threads in the middle of a computation.
        os._exit(0)


if __name__ == "__main__":
    main()
