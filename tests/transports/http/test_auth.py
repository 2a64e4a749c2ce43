"""The ring of keys."""

import pytest

from transports.http.auth import KeyRing


def test_a_key_is_known_by_its_id() -> None:
    ring = KeyRing({"a": "sk-1", "b": "sk-2"})
    assert [ring.identify(secret) for secret in ("sk-1", "sk-2", "sk-3", "", "sk-1 ")] == ["a", "b", None, None, None]
    assert ring.required


def test_no_keys_means_none_is_required() -> None:
    assert not KeyRing().required
    assert not KeyRing({}).required
    assert KeyRing().identify("anything") is None


def test_secrets_are_not_kept_or_shown() -> None:
    ring = KeyRing({"a": "sk-1"})
    assert "sk-1" not in repr(ring)
    assert "sk-1" not in str(vars(ring))


@pytest.mark.parametrize("secret", ["", " sk", "sk\n", "schlüssel"])
def test_a_secret_that_no_client_could_send_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="'a'"):
        KeyRing({"a": secret})
