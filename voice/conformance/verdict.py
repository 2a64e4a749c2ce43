"""What a check of the kit finds: that something holds, that it does not, or that nobody can say."""

from typing import Any

Frame = dict[str, Any]


class Failed(Exception):
    """The server does not do what the contract says."""

    def __init__(self, message: str, frame: Frame | None = None) -> None:
        """`frame` shows it, where one does."""
        super().__init__(message)
        self.message = message
        self.frame = frame


class NotServed(Exception):
    """The server says that it does not serve this part, which is honest and yet a gap."""


class Skipped(Exception):
    """The kit could not check this here, through no fault of the server's."""


def check(holds: object, message: str, frame: Frame | None = None) -> None:
    """Raises: Failed with `message`, unless it holds."""
    if not holds:
        raise Failed(message, frame)


def equal(what: str, found: object, expected: object, frame: Frame | None = None) -> None:
    """Raises: Failed, unless both are the same."""
    if found != expected:
        raise Failed(f"{what} is {found!r}, expected {expected!r}", frame)
