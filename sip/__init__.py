"""A SIP signalling library in its own right."""
