import pytest

from sip.auth import (
    Checked,
    Credentials,
    DigestClient,
    DigestServer,
    Verdict,
    digest_response,
    hash_secret,
    parse_digest,
)
from sip.errors import SipSyntaxError
from sip.message import Request, Response

PEER = "198.51.100.20"
USERS = {"alice": "secret", "Mufasa": "Circle of Life"}


@pytest.fixture
def server() -> DigestServer:
    return DigestServer("example.com", b"a secret of the cluster")


@pytest.fixture
def client() -> DigestClient:
    return DigestClient([Credentials("alice", "secret")], lambda: "c0ffee")


def retried(client: DigestClient, request: Request, response: Response) -> Request:
    retry = client.answer(request, response)
    assert retry is not None
    return retry


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_vectors_of_rfc_7616(algorithm: str, expected: str) -> None:
    made = digest_response(
        algorithm,
        hash_secret(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life"),
        method="GET",
        uri="/dir/index.html",
        nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        nc="00000001",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        qop="auth",
    )
    assert made == expected


def test_the_vector_of_rfc_2617() -> None:
    made = digest_response(
        "MD5",
        hash_secret("MD5", "Mufasa", "testrealm@host.com", "Circle Of Life"),
        method="GET",
        uri="/dir/index.html",
        nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",
        nc="00000001",
        cnonce="0a4f113b",
        qop="auth",
    )
    assert made == "6629fae49393a05397450978507c4ef1"


def test_a_challenge_names_the_better_algorithm_first(server, make_request) -> None:
    response = server.challenge(0, make_request(), PEER)
    challenges = [parse_digest(value) for value in response.get_all("WWW-Authenticate")]
    assert response.status == 401
    assert [one["algorithm"] for one in challenges if one] == ["SHA-256", "MD5"]
    assert all(one and one["qop"] == "auth" and one["realm"] == "example.com" for one in challenges)


@pytest.mark.parametrize("algorithm", ["SHA-256", "MD5"])
@pytest.mark.parametrize("proxy", [True, False])
def test_a_right_password_is_accepted(make_request, client, algorithm: str, proxy: bool) -> None:
    server = DigestServer("example.com", b"s", algorithms=[algorithm])
    request = make_request()
    assert server.check(0, request, PEER, USERS.get, proxy=proxy).verdict is Verdict.MISSING
    retry = retried(client, request, server.challenge(0, request, PEER, proxy=proxy))
    assert retry.cseq.number == 2
    checked = server.check(1, retry, PEER, USERS.get, proxy=proxy)
    assert (checked.verdict, checked.username) == (Verdict.ACCEPTED, "alice")


@pytest.mark.parametrize(
    ("username", "password"), [("alice", "wrong"), ("nobody", "secret"), ("nobody", ""), ("alice", "")]
)
def test_wrong_credentials(server, make_request, username: str, password: str) -> None:
    request = make_request()
    client = DigestClient([Credentials(username, password)], lambda: "c")
    retry = retried(client, request, server.challenge(0, request, PEER))
    assert server.check(1, retry, PEER, USERS.get).verdict is Verdict.WRONG


def test_the_same_credentials_work_once(server, make_request, client) -> None:
    request = make_request()
    retry = retried(client, request, server.challenge(0, request, PEER))
    assert server.check(1, retry, PEER, USERS.get).verdict is Verdict.ACCEPTED
    assert server.check(1, retry, PEER, USERS.get).verdict is Verdict.REPLAYED


def test_credentials_of_another_source_or_method_are_wrong(server, make_request, client) -> None:
    request = make_request()
    retry = retried(client, request, server.challenge(0, request, PEER))
    assert server.check(1, retry, "192.0.2.66", USERS.get).verdict is Verdict.WRONG
    stolen = make_request("BYE", to_tag="b")
    stolen.set("Authorization", retry.get("Authorization"))
    assert server.check(1, stolen, PEER, USERS.get).verdict is Verdict.WRONG
    moved = make_request()
    moved.uri_text = "sip:expensive@203.0.113.7"
    moved.set("Authorization", retry.get("Authorization"))
    assert server.check(1, moved, PEER, USERS.get).verdict is Verdict.WRONG


def test_an_old_nonce_is_stale_and_the_client_tries_again(server, make_request, client) -> None:
    request = make_request()
    retry = retried(client, request, server.challenge(0, request, PEER))
    assert server.check(301, retry, PEER, USERS.get).verdict is Verdict.STALE
    again = retried(client, retry, server.challenge(301, retry, PEER, stale=True))
    assert server.check(302, again, PEER, USERS.get).verdict is Verdict.ACCEPTED
    assert again.cseq.number == 3


def test_a_nonce_of_another_node_with_the_same_secret_is_ours(server, make_request, client) -> None:
    request = make_request()
    other = DigestServer("example.com", b"a secret of the cluster")
    retry = retried(client, request, other.challenge(0, request, PEER))
    assert server.check(1, retry, PEER, USERS.get).verdict is Verdict.ACCEPTED


def test_counts_may_overtake_each_other_within_a_window(server, make_request) -> None:
    def use(count: int) -> Verdict:
        request = make_request()
        nonce = server.make_nonce(0, PEER)
        made = digest_response(
            "MD5", hash_secret("MD5", "alice", "example.com", "secret"), method="INVITE", uri=request.uri_text,
            nonce=nonce, qop="auth", nc=f"{count:08x}", cnonce="c",
        )  # fmt: skip
        value = f'username="alice", realm="example.com", nonce="{nonce}", uri="{request.uri_text}", response="{made}"'
        request.add("Authorization", f'Digest {value}, algorithm=MD5, qop=auth, nc={count:08x}, cnonce="c"')
        checked: Checked = server.check(1, request, PEER, USERS.get)
        return checked.verdict

    verdicts = [use(count) for count in (1, 3, 2, 3, 100, 99, 2, 0, 5000)]
    ok, replayed = Verdict.ACCEPTED, Verdict.REPLAYED
    assert verdicts == [ok, ok, ok, replayed, ok, ok, replayed, replayed, ok]


def test_the_memory_of_counts_is_bounded(make_request, client) -> None:
    server = DigestServer("example.com", b"s", remembered=10)
    for number in range(50):
        request = make_request(cseq=number + 1)
        retry = retried(client, request, server.challenge(number, request, PEER))
        assert server.check(number, retry, PEER, USERS.get).verdict is Verdict.ACCEPTED
    assert len(server._counts) == 10


@pytest.mark.parametrize(
    "value",
    [
        "Digest", "Digest realm", 'Digest realm="example.com', 'Digest realm="example.com",realm="example.com"',
        'Digest realm="example.com"', 'Digest realm="example.com", nonce="x", qop=auth, nc=1, algorithm=MD5',
        'Digest realm="example.com", nonce="é", response="é", username="\xff"', "Basic YTpi", "NoOneKnowsThis x=y",
        'Digest realm="example.com", algorithm=MD6', 'Digest realm="example.com", nonce="%s"' % ("A" * 32),
    ],
)  # fmt: skip
def test_hostile_credentials_raise_nothing(server, make_request, value: str) -> None:
    request = make_request()
    request.add("Authorization", value)
    assert server.check(0, request, PEER, USERS.get).verdict in (Verdict.MISSING, Verdict.WRONG)


def test_the_client_gives_up_on_a_second_refusal(server, make_request, client) -> None:
    request = make_request()
    retry = retried(client, request, server.challenge(0, request, PEER))
    assert client.answer(retry, server.challenge(1, retry, PEER)) is None


def test_the_client_answers_every_realm_that_asks(make_request) -> None:
    client = DigestClient([Credentials("a", "1", "one"), Credentials("b", "2", "two")], lambda: "c")
    request = make_request()
    response = request.respond(407)
    for realm in ("one", "two"):
        response.add("Proxy-Authenticate", f'Digest realm="{realm}", nonce="n-{realm}"')
    retry = client.answer(request, response)
    assert retry is not None
    found = [parse_digest(value) for value in retry.get_all("Proxy-Authorization")]
    assert [(one["realm"], one["username"], "qop" in one) for one in found if one] == [
        ("one", "a", False),
        ("two", "b", False),
    ]
    response.add("Proxy-Authenticate", 'Digest realm="three", nonce="n"')
    assert client.answer(request, response) is None


def test_the_client_takes_the_best_algorithm_and_counts_the_nonce(make_request, client) -> None:
    request = make_request()
    response = request.respond(401)
    for algorithm in ("MD5", "SHA-512-256", "AKAv1-MD5"):
        response.add(
            "WWW-Authenticate", f'Digest realm="r", nonce="n", algorithm={algorithm}, qop="auth,auth-int", opaque="o"'
        )
    counts = []
    for _ in range(2):
        given = parse_digest(retried(client, request, response).get("Authorization") or "")
        assert given is not None
        assert (given["algorithm"], given["opaque"], given["qop"]) == ("SHA-512-256", "o", "auth")
        counts.append(given["nc"])
    assert counts == ["00000001", "00000002"]


def test_the_retry_is_the_same_request(make_request, server, client) -> None:
    """The public address changed after the authentication retry elsewhere: nothing but credentials and CSeq may."""
    request = make_request(body=b"v=0\r\n", more="X-Account: 7")
    retry = retried(client, request, server.challenge(0, request, PEER))
    changed = set(retry.fields) - set(request.fields)
    assert {name for name, _ in changed} == {"CSeq", "Authorization"}
    assert retry.body == request.body


def test_parsing() -> None:
    assert parse_digest('Digest username="a\\"b", realm="x,y" , nc=1') == {"username": 'a"b', "realm": "x,y", "nc": "1"}
    assert parse_digest("Basic abc") is None
    with pytest.raises(SipSyntaxError):
        parse_digest('Digest a="1" b="2"')
