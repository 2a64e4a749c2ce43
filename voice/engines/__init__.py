"""What thinks: engines behind one port (`voice.engines.port`)."""
