"""The dialogues that the scripted engine speaks in the benches."""

SHORT_ANSWER = ""
LONG_ANSWER = ""
