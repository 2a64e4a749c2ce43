"""The calls beside the realtime contract that the official client makes: audio, chat completions, responses.

`audio`, `dialogue`, `chat` and `responses` are the wire's words and pure; `service` asks the engines.
"""
