"""The dialogues that the scripted engine speaks in the benches, in real time."""

REPLY_MS = 100
"""Length of a reply frame of the short answer: engines speak in runs of 50 to 250 ms."""

SHORT_ANSWER = f"""
speed: real_time
chunk_ms: {REPLY_MS}
transcripts: [I would like to know a little more about that]
turns:
  - reply:
      - {{say: "Gladly: this is an answer of about two and a half seconds.", audio_ms: 2500}}
"""

LONG_ANSWER = """
speed: real_time
chunk_ms: 20
transcripts: [tell me a long story, stop]
turns:
  - reply:
      - {say: "This is a long answer, and whoever wants it to end has to talk over it.", audio_ms: 20000}
  - reply:
      - {say: "All right.", audio_ms: 400}
"""
