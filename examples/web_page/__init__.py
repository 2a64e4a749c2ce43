"""The agent in a web page of one's own."""
