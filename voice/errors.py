"""The error tree of `voice`.

VoiceError
├── ContractError            a client broke the contract (becomes an `error` event, never a closed socket)
├── ConfigError              config.yaml, an environment variable, a script or an agent is wrong (place, hint)
│   └── ConfigProblems       in more than one place
├── EngineError              an engine could not do its work; the session goes on
│   ├── EngineUnavailable    it cannot be reached or its model is missing; try again or another
│   │   └── EngineRefused    it refuses this service: a key, a model, a quota; the same again would fail the same way
│   ├── EngineOverloaded     its queue is full; try again after `retry_after_s`
│   ├── EngineProtocolError  it answered what it must not
│   └── ContextTooLong       the conversation does not fit and may not be cut
├── ModelError               an embedded model's files
│   ├── ModelMissing         not on this machine; `command` fetches it
│   └── ModelDamaged         the digest differs; `command` fetches it again
└── CapacityError            the service has no place for another session
    └── KeyLimitReached      one key holds all the sessions that it may
"""

from collections.abc import Iterable


class VoiceError(Exception):
    """Root of everything this package raises on purpose."""


class ContractError(VoiceError):
    """A client's event breaks the Realtime contract (contract 4.15)."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = "invalid_value",
        param: str | None = None,
        event_id: str | None = None,
        type: str = "invalid_request_error",
    ) -> None:
        """`code`, `param`, `type` and the client's own `event_id` stand in the `error` event as they are."""
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param
        self.event_id = event_id
        self.type = type


class ConfigError(VoiceError):
    """The operator's configuration is wrong."""

    def __init__(
        self, message: str, *, path: str | None = None, line: int | None = None, column: int | None = None
    ) -> None:
        """`line` and `column` count from 1; the text reads `config.yaml:6:3: message`."""
        place = ":".join(str(part) for part in (path, line, column) if part is not None)
        super().__init__(f"{place}: {message}" if place else message)
        self.message = message
        self.path = path
        self.line = line
        self.column = column

    @property
    def problems(self) -> tuple["ConfigError", ...]:
        """Each thing that is wrong, by itself."""
        return (self,)


class ConfigProblems(ConfigError):
    """The configuration is wrong in one or more places."""

    def __init__(self, problems: Iterable[ConfigError]) -> None:
        """The text holds every problem, a line each; the fields are those of the first."""
        self._problems = tuple(
            sorted(problems, key=lambda problem: (problem.path or "", problem.line or 0, problem.column or 0))
        )
        first = self._problems[0]
        super().__init__(first.message, path=first.path, line=first.line, column=first.column)

    @property
    def problems(self) -> tuple[ConfigError, ...]:
        """Each thing that is wrong, by its place."""
        return self._problems

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self._problems)


class EngineError(VoiceError):
    """An engine could not do its work; `code` stands in `response.done` under `status_details.error`."""

    code = "server_error"

    def __init__(self, message: str) -> None:
        """`message` is shown to the client: no secret, no path."""
        super().__init__(message)
        self.message = message


class EngineUnavailable(EngineError):
    """The engine cannot be reached, has died, or its model is missing."""

    code = "engine_unavailable"


class EngineRefused(EngineUnavailable):
    """The engine does not serve this service: wrong key, unknown model, exhausted quota. Not to be tried again soon."""

    code = "engine_refused"


class EngineOverloaded(EngineError):
    """The engine's queue is full."""

    code = "rate_limit_exceeded"

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        """`retry_after_s` is the engine's own estimate."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class EngineProtocolError(EngineError):
    """The engine answered something that its port does not allow."""

    code = "engine_protocol_error"


class ContextTooLong(EngineError):
    """The conversation has more tokens than the engine takes, and the session does not allow truncation."""

    code = "context_length_exceeded"


class ModelError(VoiceError):
    """The files of an embedded model are not usable."""

    def __init__(self, message: str, *, model: str, command: str) -> None:
        """`command` is what the operator types to mend it."""
        super().__init__(message)
        self.model = model
        self.command = command


class ModelMissing(ModelError):
    """The model's files are not on this machine."""


class ModelDamaged(ModelError):
    """A file's digest is not the manifest's."""


class CapacityError(VoiceError):
    """The service serves as many sessions as it may."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        """`retry_after_s` becomes the `retry-after` header."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class KeyLimitReached(CapacityError):
    """A key holds as many sessions as it may; others are still served."""
