"""What the model host is told when it starts."""

import os
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ScriptedModels:
    """Stand-ins for the three models, for tests and for measuring the host itself: no weights, no computing.

    Speech-to-text answers from `transcripts` in turn; the language model speaks `reply` word by word; text-to-speech
    gives a tone whose length goes with the text.
    """

    transcripts: tuple[str, ...] = ("hello there",)
    reply: str = "Hello. How can I help you today?"
    transcribe_s: float = 0.0
    """How long one transcript takes."""
    token_s: float = 0.0
    """How long one word of the reply takes."""
    prefill_s: float = 0.0
    """How long a prompt takes that is not in the cache."""
    speak_s: float = 0.0
    """How long one clause takes."""
    fail_to_load: str = ""
    """If set, loading fails with this sentence."""


@dataclass(frozen=True, slots=True)
class HostSettings:
    """Which models the host loads and how it shares them out."""

    speech_to_text: str = "moonshine-tiny-en"
    """A model of the manifest, or a folder with the three files of a Moonshine export."""
    language_model: str = "qwen2.5-coder-0.5b"
    """A model of the manifest, or the path of a GGUF file."""
    voice: str = "heart"
    """The voice of text-to-speech where a session asks for one that is not there."""
    threads: int = 0
    """Threads of the language model; 0: one per core, at most 8."""
    slots: int = 4
    """Prompt caches, each of one session; also how many sessions generate at the same time."""
    context_tokens: int = 4096
    """Length of each slot."""
    batch_tokens: int = 32
    """Prompt tokens worked through at a time. After each batch a cancelled prompt stops and others get their token.
    Measured on two cores: about 9 ms a token with 32, 8 with 64 or 128; the ten tokens behind a computed prefix take
    the same with 32, 64 and 512."""
    queue_limit: int = 64
    """Requests that may wait for one model; one more raises EngineOverloaded."""
    nice: int = 5
    """Added to the niceness of the host, so that the media process keeps its time."""
    load_timeout_s: float = 120.0
    beat_s: float = 1.0
    """How often the host says that it lives."""
    silent_s: float = 15.0
    """A host of which nothing was heard for so long is ended and started again."""
    stuck_s: float = 60.0
    """The same for one in which a model shows no progress: no token, no batch of a prompt, no sentence."""
    lanes: tuple[str, ...] = ("speech-to-text", "language-model", "text-to-speech")
    """Which of the models are loaded: where another server thinks, 650 MB need not be held for it."""
    scripted: ScriptedModels | None = None
    """Set: no real model is loaded."""
    prompt_store: str = ""
    """Folder of computed prompt prefixes that outlive the service, see `ModelHost.keep_prompts`. Empty: none do."""
    prompt_cache_dir: str = field(default="", repr=False)
    """Where computed prompt prefixes are kept; the client sets it to a folder of its own that ends with it."""

    def language_threads(self) -> int:
        """The number that `threads` stands for."""
        return self.threads or min(os.cpu_count() or 1, 8)
