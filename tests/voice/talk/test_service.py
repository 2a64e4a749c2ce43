"""Ports for services that are started in a moment."""

import socket
from contextlib import ExitStack

from voice.talk.service import free_port


def test_nobody_is_given_the_port_of_another_who_does_not_listen_yet():
    ports = [free_port() for _ in range(200)]
    assert len(set(ports)) == 200
    with ExitStack() as stack:
        for port in ports[:20]:
            stack.enter_context(socket.create_server(("127.0.0.1", port)))
