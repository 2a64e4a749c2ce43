"""A small softphone: `voice call`. It calls with recordings, keeps what it hears, and measures."""
