"""A caller made of recordings: `voice talk`, and the client that the benches share."""
