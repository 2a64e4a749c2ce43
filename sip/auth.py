"""Digest authentication (RFC 3261 §22, RFC 7616, RFC 8760), as server and as client.

Nonces are stateless: the time they were made and an HMAC over it, so that every node with the secret can check them
and none keeps a list. What must be remembered against replay, the nonce counts that were used, is a bounded table.
"""

import base64
import hashlib
import hmac
import re
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from sip.errors import SipSyntaxError
from sip.grammar import QUOTED, TOKEN, quote, unquote
from sip.message import Request, Response

_HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}
ALGORITHMS = ("SHA-256", "MD5")
"""What a server challenges with, in this order: a client takes the first that it knows (RFC 8760 §2.4)."""

_CLIENT_ORDER = ("SHA-512-256", "SHA-256", "MD5")
_PAIR = re.compile(rf"({TOKEN})\s*+=\s*+({QUOTED}|[^,\s]*+)\s*+(?:,\s*+|$)", re.DOTALL)
_QUOTED_PARAMS = {"username", "realm", "nonce", "uri", "response", "cnonce", "opaque", "domain", "qop_options"}
_WINDOW = 64


def parse_digest(value: str) -> dict[str, str] | None:
    """Return the parameters of a Digest header value, quotes taken off; None for another scheme.

    Raises: SipSyntaxError when the parameters are malformed or one stands twice.
    """
    scheme, _, text = value.strip().partition(" ")
    if scheme.lower() != "digest":
        return None
    found: dict[str, str] = {}
    text = text.strip()
    position = 0
    while position < len(text):
        pair = _PAIR.match(text, position)
        if pair is None or pair[1].lower() in found:
            raise SipSyntaxError("digest parameters are malformed")
        found[pair[1].lower()] = unquote(pair[2])
        position = pair.end()
    return found


def digest_response(
    algorithm: str,
    secret_hash: str,
    *,
    method: str,
    uri: str,
    nonce: str,
    qop: str = "",
    nc: str = "",
    cnonce: str = "",
    body: bytes = b"",
) -> str:
    """Return the `response` parameter. `secret_hash` is HA1 (`hash_secret`), session variants included."""
    hashed = _hasher(algorithm)
    a2 = f"{method}:{uri}" + (f":{hashed(body)}" if qop == "auth-int" else "")
    middle = f"{nonce}:{nc}:{cnonce}:{qop}" if qop else nonce
    return hashed(f"{secret_hash}:{middle}:{hashed(a2)}")


def hash_secret(algorithm: str, username: str, realm: str, password: str) -> str:
    """Return HA1: what may be stored instead of the password."""
    return _hasher(algorithm)(f"{username}:{realm}:{password}")


def _hasher(algorithm: str) -> Callable[[str | bytes], str]:
    name = _HASHES[algorithm.upper().removesuffix("-SESS")]

    def hashed(text: str | bytes) -> str:
        data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
        return hashlib.new(name, data, usedforsecurity=False).hexdigest()

    return hashed


class Verdict(Enum):
    """What became of a request's credentials."""

    ACCEPTED = auto()
    MISSING = auto()
    """None for our realm: challenge."""
    STALE = auto()
    """Right, but the nonce is old: challenge with stale=true, the client tries again without asking its user."""
    REPLAYED = auto()
    """The nonce count was used before: challenge anew."""
    WRONG = auto()
    """Unknown user, wrong password, or made up nonce: challenge, and count it against the source."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome of `DigestServer.check`."""

    verdict: Verdict
    username: str = ""
    """As claimed; proven only with ACCEPTED."""


class DigestServer:
    """Challenges callers and checks their answers."""

    def __init__(
        self,
        realm: str,
        secret: bytes,
        *,
        algorithms: Sequence[str] = ALGORITHMS,
        nonce_life_s: float = 300.0,
        remembered: int = 10_000,
    ) -> None:
        """`secret` signs the nonces, the same on every node. `remembered` bounds the nonces whose counts are kept."""
        self.realm = realm
        self._secret = secret
        self._algorithms = tuple(algorithms)
        self._life_s = nonce_life_s
        self._remembered = remembered
        self._counts: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def make_nonce(self, now: float, source: str) -> str:
        """Return a nonce for the host `source`; `now` is the time of day in seconds, the same on every node."""
        stamp = struct.pack(">Q", int(now * 1000))
        return base64.urlsafe_b64encode(stamp + self._sign(stamp, source)).decode()

    def challenge(
        self,
        now: float,
        request: Request,
        source: str,
        *,
        stale: bool = False,
        proxy: bool = False,
        algorithms: Sequence[str] | None = None,
    ) -> Response:
        """Return the 401 (or 407), one header for each algorithm; `algorithms` narrows them for a weak client."""
        response = request.respond(407 if proxy else 401)
        nonce = self.make_nonce(now, source)
        for algorithm in algorithms or self._algorithms:
            value = f'Digest realm={quote(self.realm)}, nonce="{nonce}", algorithm={algorithm}, qop="auth"'
            response.add(
                "Proxy-Authenticate" if proxy else "WWW-Authenticate", value + (", stale=true" if stale else "")
            )
        return response

    def check(
        self,
        now: float,
        request: Request,
        source: str,
        find_password: Callable[[str], str | None],
        *,
        proxy: bool = False,
    ) -> Checked:
        """Check a request's credentials. `find_password` returns None for a user that does not exist.

        The work is the same for a known and an unknown user. Retransmissions are the transaction's: each request that
        comes here must have a count of its own.
        """
        header = "Proxy-Authorization" if proxy else "Authorization"
        for value in request.get_all(header)[:4]:
            try:
                given = parse_digest(value)
            except SipSyntaxError:
                continue
            if given is not None and given.get("realm") == self.realm:
                return self._check(now, request, source, find_password, given)
        return Checked(Verdict.MISSING)

    def _check(
        self,
        now: float,
        request: Request,
        source: str,
        find_password: Callable[[str], str | None],
        given: dict[str, str],
    ) -> Checked:
        username, nonce = given.get("username", ""), given.get("nonce", "")
        algorithm = given.get("algorithm", "MD5").upper()
        made_at = self._made_at(nonce, source)
        if algorithm not in self._algorithms or given.get("qop", "") != "auth" or made_at is None:
            # A nonce of another secret may be from before a restart: let the client try again, unless it is junk.
            return Checked(Verdict.WRONG, username)
        nc = given.get("nc", "")
        if len(nc) != 8 or not all(digit in "0123456789abcdefABCDEF" for digit in nc):
            return Checked(Verdict.WRONG, username)
        password = find_password(username)
        secret_hash = hash_secret(algorithm, username, self.realm, password or "")
        expected = digest_response(
            algorithm,
            secret_hash,
            method=request.method,
            uri=given.get("uri", ""),
            nonce=nonce,
            qop="auth",
            nc=nc,
            cnonce=given.get("cnonce", ""),
        )
        same = hmac.compare_digest(expected.encode(), given.get("response", "").lower().encode("utf-8", "replace"))
        if not same or password is None or not _same_uri(given.get("uri", ""), request.uri_text):
            return Checked(Verdict.WRONG, username)
        if not -5 <= now - made_at <= self._life_s:
            return Checked(Verdict.STALE, username)
        return Checked(Verdict.ACCEPTED if self._count(nonce, int(nc, 16)) else Verdict.REPLAYED, username)

    def _made_at(self, nonce: str, source: str) -> float | None:
        """Return when a nonce of ours was made, None when it is not ours or not for this source."""
        try:
            raw = base64.urlsafe_b64decode(nonce.encode("ascii"))
        except (ValueError, UnicodeEncodeError):
            return None
        if len(raw) != 24 or not hmac.compare_digest(raw[8:], self._sign(raw[:8], source)):
            return None
        return float(struct.unpack(">Q", raw[:8])[0]) / 1000

    def _sign(self, stamp: bytes, source: str) -> bytes:
        return hmac.digest(self._secret, stamp + source.encode() + b"\0" + self.realm.encode(), "sha256")[:16]

    def _count(self, nonce: str, count: int) -> bool:
        """Note a nonce count; return whether it is new. A window of 64 lets requests overtake each other."""
        highest, seen = self._counts.get(nonce, (0, 0))
        if count > highest:
            shift = count - highest
            seen = ((seen << shift) | 1) & (2**_WINDOW - 1) if shift < _WINDOW else 1
            highest = count
        else:
            bit = 1 << (highest - count) if highest - count < _WINDOW else 0
            if count == 0 or not bit or seen & bit:
                return False
            seen |= bit
        self._counts[nonce] = (highest, seen)
        self._counts.move_to_end(nonce)
        if len(self._counts) > self._remembered:
            self._counts.popitem(last=False)
        return True


def _same_uri(claimed: str, request_uri: str) -> bool:
    """Compare the digest URI with the Request-URI: proxies rewrite host and parameters, the user part stays."""
    return claimed.partition("@")[0].lower() == request_uri.partition("@")[0].lower() or "@" not in claimed


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a trunk gave us."""

    username: str
    password: str
    realm: str | None = None
    """Answer only this realm; None answers any."""


class DigestClient:
    """Answers challenges to requests of ours; counts the uses of each nonce."""

    def __init__(self, credentials: Iterable[Credentials], make_cnonce: Callable[[], str]) -> None:
        """`make_cnonce` returns a fresh random token each time."""
        self._credentials = tuple(credentials)
        self._make_cnonce = make_cnonce
        self._uses: OrderedDict[str, int] = OrderedDict()

    def answer(self, request: Request, response: Response) -> Request | None:
        """Return the request again, with credentials for a 401 or 407 and the next CSeq; None when it is of no use.

        Of no use: no challenge that we can answer, or the same credentials have just been refused (and the nonce was
        not merely stale). The Via must get a new branch, everything else stays, To tag and body included.
        """
        pairs = (("WWW-Authenticate", "Authorization"), ("Proxy-Authenticate", "Proxy-Authorization"))
        retry = Request(request.method, request.uri_text, request.fields, request.body)
        answered = False
        for asked, given in pairs:
            challenges = _by_realm(response.get_all(asked))
            if not challenges:
                continue
            before = _realms_answered(request, given)
            retry.remove(given)
            for realm, challenge in challenges.items():
                credentials = self._find(realm)
                if credentials is None or (realm in before and challenge.get("stale", "").lower() != "true"):
                    return None
                retry.add(given, self._authorization(retry, credentials, realm, challenge))
                answered = True
        if not answered:
            return None
        retry.set("CSeq", f"{request.cseq.number + 1} {request.method}")
        return retry

    def _find(self, realm: str) -> Credentials | None:
        return next((one for one in self._credentials if one.realm in (None, realm)), None)

    def _authorization(self, request: Request, credentials: Credentials, realm: str, challenge: dict[str, str]) -> str:
        """Return the header value that answers one challenge."""
        nonce, algorithm = challenge.get("nonce", ""), challenge.get("algorithm", "MD5")
        offered = [one.strip().lower() for one in challenge.get("qop", "").split(",") if one.strip()]
        qop = "auth" if "auth" in offered else "auth-int" if "auth-int" in offered else ""
        count = self._uses.pop(nonce, 0) + 1
        self._uses[nonce] = count
        if len(self._uses) > 256:
            self._uses.popitem(last=False)
        nc, cnonce = f"{count:08x}", self._make_cnonce()
        secret_hash = hash_secret(algorithm, credentials.username, realm, credentials.password)
        if algorithm.upper().endswith("-SESS"):
            secret_hash = _hasher(algorithm)(f"{secret_hash}:{nonce}:{cnonce}")
        made = digest_response(
            algorithm,
            secret_hash,
            method=request.method,
            uri=request.uri_text,
            nonce=nonce,
            qop=qop,
            nc=nc,
            cnonce=cnonce,
            body=request.body,
        )
        parts = {"username": quote(credentials.username), "realm": quote(realm), "nonce": quote(nonce)}
        parts |= {"uri": quote(request.uri_text), "response": quote(made), "algorithm": algorithm}
        if "opaque" in challenge:
            parts["opaque"] = quote(challenge["opaque"])
        if qop:
            parts |= {"qop": qop, "nc": nc, "cnonce": quote(cnonce)}
        elif algorithm.upper().endswith("-SESS"):
            parts["cnonce"] = quote(cnonce)
        return "Digest " + ", ".join(f"{name}={value}" for name, value in parts.items())


def _by_realm(values: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return for each realm the best challenge that we can answer."""
    best: dict[str, dict[str, str]] = {}
    for value in values[:8]:
        try:
            challenge = parse_digest(value)
        except SipSyntaxError:
            continue
        if challenge is None or "realm" not in challenge or _rank(challenge) is None:
            continue
        known = best.get(challenge["realm"])
        if known is None or (_rank(challenge) or 0) < (_rank(known) or 0):
            best[challenge["realm"]] = challenge
    return best


def _rank(challenge: dict[str, str]) -> int | None:
    name = challenge.get("algorithm", "MD5").upper().removesuffix("-SESS")
    return _CLIENT_ORDER.index(name) if name in _CLIENT_ORDER else None


def _realms_answered(request: Request, header: str) -> set[str]:
    found = (parse_digest(value) for value in request.get_all(header))
    return {given["realm"] for given in found if given is not None and "realm" in given}
