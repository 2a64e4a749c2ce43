"""The errors of `voice.talk`; each message is a sentence for the person at the keyboard.

VoiceError
└── TalkError
    ├── RecordingError      the file is no recording that can be read
    ├── ServiceUnreachable  nothing answers there, or it refused the connection
    └── ServiceSilent       the connection stands, but what was waited for did not come
"""

from voice.errors import VoiceError


class TalkError(VoiceError):
    """A conversation by recordings could not be held."""


class RecordingError(TalkError):
    """The file is missing, is not audio, or holds nothing."""


class ServiceUnreachable(TalkError):
    """No service answers, it refused the connection, or one started here did not get ready."""


class ServiceSilent(TalkError):
    """The service did not send what the caller waited for, or hung up."""
