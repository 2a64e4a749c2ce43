"""The embedded models: where they come from, how they run, and the process that hosts them."""
