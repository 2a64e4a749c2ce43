"""TLS from files that may be renewed while the service runs."""

import ssl
from collections.abc import Sequence
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)


class Certificate:
    """A certificate and its key. `context` serves what the files held when they were last looked at and good."""

    def __init__(self, certificate: Path, key: Path, *, protocols: Sequence[str] = ("http/1.1",)) -> None:
        """`protocols` are offered by ALPN. Raises: OSError, ssl.SSLError when the files cannot be used."""
        self._certificate = certificate
        self._key = key
        self._seen = self._stamp()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        # A ticket follows the handshake, where a client that reads in one thread and writes in another meets it:
        # CPython locks neither out (gh-124984). The official synchronous client lost 1 in 200 connections to it.
        self.context.num_tickets = 0
        if protocols:
            self.context.set_alpn_protocols(list(protocols))
        self.context.load_cert_chain(certificate, key)

    def reload_if_changed(self) -> bool:
        """Take renewed files for the handshakes to come; connections that stand go on. True when they were taken.

        Files that do not fit together, such as in the middle of a renewal, are left until they change again; the
        certificate before them is served on.
        """
        try:
            stamp = self._stamp()
            if stamp == self._seen:
                return False
            self._seen = stamp
            # Tried apart first: a context that takes a certificate and then refuses its key is left with neither.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._certificate, self._key)
            self.context.load_cert_chain(self._certificate, self._key)
        except (OSError, ssl.SSLError) as error:
            log.warning("renewed certificate not usable", certificate=str(self._certificate), error=str(error))
            return False
        log.info("certificate renewed", certificate=str(self._certificate))
        return True

    def _stamp(self) -> tuple[tuple[int, int, int], ...]:
        found = (self._certificate.stat(), self._key.stat())
        return tuple((each.st_mtime_ns, each.st_size, each.st_ino) for each in found)
