"""Dialog state against RFC 3261 §12."""

import pytest

from app.sip.dialog import Dialog, Routing, routing
from app.sip.headers import HeaderError


def dialog() -> Dialog:
    return Dialog(
        call_id="c@h",
        local_tag="us",
        remote_tag="them",
        from_value="<sip:a@us>;tag=us",
        to_value="<sip:b@them>;tag=them",
    )


def test_without_routes_a_request_goes_to_the_remote_target() -> None:
    assert routing("sip:b@10.0.0.1:5070", ()) == Routing("sip:b@10.0.0.1:5070", (), "sip:b@10.0.0.1:5070")


def test_a_contacts_headers_stay_out_of_the_request_uri() -> None:
    assert routing("sip:a@h;ob?Subject=x;y", []).request_uri == "sip:a@h;ob"
    assert routing("sip:a@h;Method=INVITE;ob", []).request_uri == "sip:a@h;ob"


def test_a_loose_route_keeps_the_request_uri() -> None:
    routes = ("<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>")
    assert routing("sip:b@them", routes) == Routing("sip:b@them", routes, "sip:p1.example.com;lr")


def test_lr_may_have_a_value_and_any_case() -> None:
    assert routing("sip:b@them", ("<sip:p1;LR=on>",)).request_uri == "sip:b@them"


def test_a_strict_route_becomes_the_request_uri_and_the_target_the_last_route() -> None:
    found = routing("sip:b@them", ("<sip:p1.example.com;method=BYE?X=1>", "<sip:p2.example.com;lr>"))
    assert found.request_uri == "sip:p1.example.com"
    assert found.routes == ("<sip:p2.example.com;lr>", "<sip:b@them>")
    assert found.next_hop == "sip:p1.example.com"


def test_a_route_that_is_no_sip_uri_is_refused() -> None:
    with pytest.raises(HeaderError):
        routing("sip:b@them", ("<tel:123>",))


def test_the_route_set_is_record_route_reversed() -> None:
    made = dialog()
    made.establish(contact="sip:b@c", record_routes=["<sip:near;lr>", "<sip:far;lr>"], confirmed=True)
    assert made.route_set == ("<sip:far;lr>", "<sip:near;lr>")
    assert made.routing().next_hop == "sip:far;lr"


def test_the_2xx_replaces_the_route_set_of_the_early_dialog() -> None:
    made = dialog()
    made.establish(contact="sip:b@early", record_routes=["<sip:old;lr>"], confirmed=False)
    made.establish(contact="sip:b@late", record_routes=[], confirmed=True)
    assert made.route_set == ()
    assert made.remote_target == "sip:b@late"


def test_a_confirmed_route_set_never_changes() -> None:
    made = dialog()
    made.establish(contact="sip:b@c", record_routes=["<sip:p;lr>"], confirmed=True)
    made.establish(contact=None, record_routes=["<sip:other;lr>"], confirmed=True)
    assert made.route_set == ("<sip:p;lr>",)
    assert made.remote_target == "sip:b@c"


def test_a_target_refresh_moves_the_target_only() -> None:
    made = dialog()
    made.establish(contact="sip:b@c", record_routes=["<sip:p;lr>"], confirmed=True)
    assert made.refresh("sip:b@elsewhere") is True
    assert made.refresh("sip:b@elsewhere") is False
    assert made.refresh(None) is False
    assert made.routing() == Routing("sip:b@elsewhere", ("<sip:p;lr>",), "sip:p;lr")


def test_our_cseq_grows_by_one() -> None:
    made = dialog()
    made.local_cseq = 7
    assert [made.next_cseq(), made.next_cseq()] == [8, 9]


def test_the_first_request_of_the_peer_sets_its_cseq_and_lower_ones_are_out_of_order() -> None:
    made = dialog()
    assert made.in_order(4711)
    assert not made.in_order(4711)
    assert not made.in_order(1)
    assert made.in_order(9000)  # gaps are legal
