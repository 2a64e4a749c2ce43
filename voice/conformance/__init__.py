"""What a Realtime server must do, as programs that check it."""
