"""User information in a callback's URL is kept and never shown."""

from app.calls.callback import has_credentials, masked


def test_user_information_is_masked_and_everything_else_stays() -> None:
    assert masked("https://me:secret@app:8443/e?x=1#y") == "https://***:***@app:8443/e?x=1#y"
    assert masked("https://app/e?mail=a@b") == "https://app/e?mail=a@b"


def test_credentials_are_seen_in_the_authority_only() -> None:
    assert has_credentials("https://me@app/")
    assert not has_credentials("https://app/?a=b@c")
