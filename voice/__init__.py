"""The core of the voice agent service: audio, the protocol's words, the session machine, engines, the service."""
