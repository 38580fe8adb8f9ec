"""Digest answers against the examples of the RFCs, and which challenge is answered."""

import contextlib
import time

import pytest

from app.sip.digest import Challenge, authorize, choose, parse

RFC7616 = 'realm="http-auth@example.org", qop="auth, auth-int", nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"'
MUFASA = {"username": "Mufasa", "password": "Circle of Life", "method": "GET", "uri": "/dir/index.html", "nc": 1}


def response_of(authorization: str) -> str:
    return parse(authorization)[0][1]["response"]


def answered(value: str, **how: object) -> str:
    challenge = choose([value])
    assert challenge is not None
    return authorize(challenge, **how)  # type: ignore[arg-type]


def test_the_md5_example_of_rfc_2617() -> None:
    value = (
        'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",'
        ' opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    authorization = answered(value, **MUFASA | {"password": "Circle Of Life", "cnonce": "0a4f113b"})
    assert response_of(authorization) == "6629fae49393a05397450978507c4ef1"
    assert authorization == (
        'Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",'
        ' uri="/dir/index.html", response="6629fae49393a05397450978507c4ef1", cnonce="0a4f113b", qop=auth,'
        ' nc=00000001, opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616(algorithm: str, response: str) -> None:
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    authorization = answered(f"Digest {RFC7616}, algorithm={algorithm}", **MUFASA | {"cnonce": cnonce})
    assert response_of(authorization) == response
    assert f"algorithm={algorithm}" in authorization


def test_sha_512_256_as_the_erratum_of_rfc_7616_has_it() -> None:
    value = (
        'Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256,'
        ' nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",'
        ' opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS"'
    )
    authorization = answered(
        value,
        username="Jäsøn Doe",
        password="Secret, or not?",
        method="GET",
        uri="/doe.json",
        nc=1,
        cnonce="NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
    )
    assert response_of(authorization) == "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"


def test_without_qop_the_answer_is_that_of_rfc_2069() -> None:
    value = (
        'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",'
        ' opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    authorization = answered(value, **MUFASA | {"password": "CircleOfLife", "cnonce": "unused"})
    assert response_of(authorization) == "1949323746fe6a43ef61f9606e7febea"  # RFC 2069, erratum 749
    assert "qop" not in authorization and "cnonce" not in authorization and "nc=" not in authorization


def test_sess_hashes_the_nonces_into_the_secret() -> None:
    how = MUFASA | {"cnonce": "c"}
    plain = answered('Digest realm="r", nonce="n", qop="auth", algorithm=MD5', **how)
    session = answered('Digest realm="r", nonce="n", qop="auth", algorithm=MD5-sess', **how)
    assert response_of(plain) != response_of(session)
    assert "algorithm=MD5-sess" in session


def test_the_strongest_of_several_is_chosen() -> None:
    values = [
        'Digest realm="a", nonce="1", algorithm=MD5, qop="auth"',
        'Digest realm="a", nonce="2", algorithm=SHA-256, qop="auth"',
        'Digest realm="a", nonce="3", algorithm=SHA-512-256, qop="auth"',
        'Digest realm="a", nonce="4", algorithm=FOO-512, qop="auth"',
    ]
    for challenges in (values, values[::-1]):
        challenge = choose(challenges)
        assert challenge is not None and challenge.nonce == "3"


def test_of_two_equally_strong_ones_the_first_is_chosen() -> None:
    challenge = choose(['Digest realm="a", nonce="1"', 'Digest realm="b", nonce="2"'])
    assert challenge is not None and challenge.realm == "a"


@pytest.mark.parametrize(
    "values",
    [
        [],
        [""],
        ["Basic realm=x"],
        ['Digest realm="r", nonce="n", algorithm=FOO-512'],
        ['Digest realm="r", nonce="n", qop="auth-int"'],
        ['Digest realm="r"'],
        ['Digest nonce="n"'],
        ['Digest realm="r", nonce="unclosed'],
        ['realm="r", nonce="n"'],
    ],
)
def test_what_cannot_be_answered_is_not_chosen(values: list[str]) -> None:
    assert choose(values) is None


def test_a_challenge_is_read_whatever_its_spelling() -> None:
    assert choose(['dIgEsT Realm = "a, \\"b\\"" ,NONCE="n==",algorithm="md5",QOP=auth,Stale=TRUE,opaque="",x=y']) == (
        Challenge('a, \\"b\\"', "n==", "md5", "auth", "", True)
    )


def test_several_challenges_on_one_line_are_kept_apart() -> None:
    found = parse('Digest realm="a", nonce="1", Digest realm="b", nonce="2", Basic realm="c"')
    assert [(scheme, params["realm"]) for scheme, params in found] == [("Digest", "a"), ("Digest", "b"), ("Basic", "c")]


def test_quotes_in_the_username_are_escaped_and_the_realm_goes_back_as_it_came() -> None:
    challenge = Challenge('a \\"b\\"', "n")
    authorization = authorize(
        challenge, username='x"y\\', password="p", method="INVITE", uri="sip:a@h", nc=255, cnonce="c"
    )
    assert 'username="x\\"y\\\\", realm="a \\"b\\"", nonce="n"' in authorization


def test_nc_is_eight_hex_digits() -> None:
    challenge = Challenge("r", "n", None, "auth")
    authorization = authorize(challenge, username="u", password="p", method="BYE", uri="sip:a@h", nc=255, cnonce="c")
    assert "nc=000000ff" in authorization


@pytest.mark.parametrize("unit", ["a", '"', ",", "=", " ", "\\", 'a="', 'a="\\"', "a=", "a,"])
def test_64_kb_of_anything_is_read_in_linear_time(unit: str) -> None:
    begun = time.process_time()
    with contextlib.suppress(ValueError):
        choose(["Digest " + unit * (65536 // len(unit)), 'Digest x="' + unit * (65536 // len(unit))])
    assert time.process_time() - begun < 2  # seconds; what is quadratic takes minutes
