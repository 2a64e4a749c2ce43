"""Models that are asked over the OpenAI-compatible HTTP API: any base URL, one connection pool.

`sse`, `retry`, `messages`, `chat_wire` and `responses_wire` are pure; `api` is the thin shell over the HTTP client;
`listening`, `thinking` and `speaking` are the three parts of a cascade.
"""
