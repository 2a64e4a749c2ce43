"""The words of the Realtime contract: client events, server events, items, the session configuration."""
