"""The language of scripted dialogues: who says what, when, and what goes wrong.

    first_token_ms: 150                  # before the first word of each reply
    speed: real_time                     # or as_fast_as_possible
    chunk_ms: 100                        # length of each run of audio
    sees: true                           # takes images
    transcripts: [I would like a table]  # what the caller is heard to say, turn by turn; the last one repeats
    turns:
      - when: table                      # a regular expression on what was said; such a turn may come many times
        reply:
          - call: {name: book_table, arguments: {people: 2}}
      - when_tool: book_table            # answers the output of that tool
        reply: ["Done. {tool_output}"]
      - reply:                           # without a condition: in their order, the last one repeats
          - say: Hello, who is speaking?
            audio_ms: 1200               # a 220 Hz tone of that length; by default 300 ms a word
          - wait_ms: 400
          - {say: Take your time., hz: 440}
      - reply: [{say: I was about to}, {fail: the model is gone}]
      - reply: [{stall: true}]
    translation: {source: good morning, into: {es: buenos días}}    # what translation sessions say; null: none

A reply that is a bare text is one `say`. In texts, `{said}` are the caller's last words and `{tool_output}` is what the
last tool gave back. A condition goes before the order; of several that hold, the first counts.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
)
from pydantic_core import PydanticCustomError

from voice.config_problems import Places, explain
from voice.config_yaml import YamlFile
from voice.errors import ConfigError, ConfigProblems

WORD_MS = 300


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Say(_Strict):
    """Words, and the sound that stands for them."""

    say: str
    audio: Literal["tone", "silence", "none"] = "tone"
    audio_ms: int | None = Field(None, ge=0, le=600_000)
    """None: 300 ms a word."""
    hz: int = Field(220, ge=50, le=8000)
    """Pitch of the tone, by which a test knows one reply from another."""
    chunk_ms: int | None = Field(None, ge=1, le=1000)
    """None: the script's."""


class Wait(_Strict):
    """Nothing for a while."""

    wait_ms: int = Field(ge=0)


class CallSpec(_Strict):
    """A tool and what it is called with."""

    name: str
    arguments: dict[str, Any] | str = {}
    """A text is sent as it is, for what is not JSON."""

    def json_text(self) -> str:
        """Return the arguments as an engine writes them."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments, ensure_ascii=False)


class Call(_Strict):
    """A tool call."""

    call: CallSpec


class Fail(_Strict):
    """The engine gives up: everything before was sent."""

    fail: str
    kind: Literal["error", "unavailable", "overloaded"] = "error"


class Stall(_Strict):
    """The engine never says another word; only cancelling ends it."""

    stall: Literal[True]


class Stop(_Strict):
    """The reply ends here for a reason of its own."""

    stop: Literal["max_output_tokens", "content_filter"]


def _spoken(value: object) -> object:
    return {"say": value} if isinstance(value, str) else value


def _kind_of_step(value: Any) -> str | None:
    if isinstance(value, BaseModel):
        return type(value).__name__
    keys = value if isinstance(value, dict) else ()
    return next((kind for key, kind in _KINDS_OF_STEPS.items() if key in keys), None)


_KINDS_OF_STEPS = {"say": "Say", "wait_ms": "Wait", "call": "Call", "fail": "Fail", "stall": "Stall", "stop": "Stop"}
"""What a step does, by the key that it must have."""

Step = Annotated[
    Annotated[Say, Tag("Say")]
    | Annotated[Wait, Tag("Wait")]
    | Annotated[Call, Tag("Call")]
    | Annotated[Fail, Tag("Fail")]
    | Annotated[Stall, Tag("Stall")]
    | Annotated[Stop, Tag("Stop")],
    Discriminator(
        _kind_of_step,
        custom_error_type="config",
        custom_error_message="{reason}",
        custom_error_context={"reason": f"a step is a text, or one of {', '.join(_KINDS_OF_STEPS)}"},
    ),
    BeforeValidator(_spoken),
]


class Turn(_Strict):
    """One reply and when it is due."""

    reply: tuple[Step, ...]
    when: str | None = None
    when_tool: str | None = None
    first_token_ms: int | None = Field(None, ge=0)

    @field_validator("when")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            reason = f"'{value}' is not a regular expression: {error}"
            raise PydanticCustomError("config", "{reason}", {"reason": reason}) from error
        return value

    @property
    def is_conditional(self) -> bool:
        """It is not part of the order."""
        return self.when is not None or self.when_tool is not None

    def fits(self, said: str, tool: str | None) -> bool:
        """Tell whether its condition holds. `tool` is set while the output of that tool is to be answered."""
        if self.when_tool is not None and self.when_tool != tool:
            return False
        if self.when is not None and (re.search(self.when, said, re.IGNORECASE) is None):
            return False
        # After a tool's output the caller's words still stand there; they were answered by the call.
        return self.when_tool is not None or tool is None


Words = Annotated[str, Field(pattern=r"\S")]


class Translation(_Strict):
    """What a translation session says: a word for each 300 ms that it hears, over and over."""

    source: Words = "hello how are you today"
    """The caller's own words."""
    into: dict[str, Words] = Field({"es": "hola cómo estás hoy", "de": "hallo wie geht es dir heute"}, min_length=1)
    """The translation by language; the first where none is asked for."""


_DEFAULT_TURN = Turn(
    reply=(Say(say="I heard: {said}. This answer comes from a script, and it is three seconds long.", audio_ms=3000),)
)


class Script(_Strict):
    """A whole dialogue. `Script()` needs no file: it answers every turn with one sentence of three seconds."""

    turns: tuple[Turn, ...] = (_DEFAULT_TURN,)
    transcripts: tuple[str, ...] = ("hello",)
    transcript_models: tuple[str, ...] | None = None
    """The transcription models that a session may name; another fails. None: any."""
    first_token_ms: int = Field(0, ge=0)
    transcript_ms: int = Field(0, ge=0)
    """How long writing an item down takes."""
    chunk_ms: int = Field(100, ge=1, le=1000)
    speed: Literal["real_time", "as_fast_as_possible"] = "as_fast_as_possible"
    """How fast audio is handed on."""
    sees: bool = False
    """Takes images, and is silent about them; otherwise they are refused."""
    translation: Translation | None = Translation()
    """None: translation sessions are refused."""

    @classmethod
    def from_dict(cls, entries: object) -> "Script":
        """Read a script. Raises: ConfigProblems."""
        return cls._checked(entries, Places(None))

    @classmethod
    def from_yaml(cls, path: str | Path, name: str | None = None) -> "Script":
        """Read a script file. `name` is what errors call it.

        Raises: ConfigError where it cannot be read; ConfigProblems with everything that is wrong, each with its line.
        """
        file = YamlFile.read(Path(path), name, needs="a script is made of keys, as in `turns:`")
        return cls._checked(file.plain(), Places(file), file.problems)

    @classmethod
    def _checked(cls, entries: object, places: Places, problems: Iterable[ConfigError] = ()) -> "Script":
        problems = list(problems)
        try:
            script = cls.model_validate(entries)
        except ValidationError as error:
            raise ConfigProblems([*problems, *explain(error, places, cls)]) from None
        if problems:
            raise ConfigProblems(problems)
        return script

    def turn_for(self, said: str, tool: str | None, position: int) -> tuple[Turn, bool]:
        """Return the turn that answers, and whether it is one of the order. `position` counts those used so far."""
        for turn in self.turns:
            if turn.is_conditional and turn.fits(said, tool):
                return turn, False
        ordered = [turn for turn in self.turns if not turn.is_conditional] or [_DEFAULT_TURN]
        return ordered[min(position, len(ordered) - 1)], True
