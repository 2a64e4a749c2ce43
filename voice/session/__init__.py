"""One conversation, sans-IO: what is heard, decided and said, with time and audio as arguments.

`session.py` takes the inputs and gives effects; the other modules each hold one concept that it works with.
"""
