"""One test per thing of pyVoIP that media relies on: an upgrade that changes it fails here first."""

import inspect

import pytest

from app.media import pyvoip
from app.media.pyvoip import PayloadType, RTPClient, RTPParseError, TransmitType

EVENT_PACKET = bytes.fromhex("80e5000100000320deadbeef") + bytes((11, 10, 0, 160))


def client(**changes: object) -> RTPClient:
    arguments = {
        "assoc": {0: PayloadType.PCMU, 101: PayloadType.EVENT},
        "inIP": "127.0.0.1",
        "inPort": 4000,
        "outIP": "127.0.0.2",
        "outPort": 4002,
        "sendrecv": TransmitType.SENDRECV,
    }
    return RTPClient(**{**arguments, **changes})


def test_the_version_is_one_this_was_written_for():
    assert pyvoip.VERSION.startswith("1.6.")


def test_g711_has_its_static_numbers():
    assert (int(PayloadType.PCMU), int(PayloadType.PCMA)) == (0, 8)


def test_telephone_event_is_found_by_its_sdp_name():
    assert PayloadType("telephone-event") is PayloadType.EVENT


def test_codecs_say_their_clock_rate():
    assert {PayloadType.PCMU.rate, PayloadType.PCMA.rate, PayloadType.EVENT.rate} == {8000}


def test_directions_print_as_in_sdp():
    assert str(TransmitType.SENDRECV) == "sendrecv"


def test_a_client_is_made_from_these_arguments_in_this_order():
    names = list(inspect.signature(RTPClient.__init__).parameters)
    assert names == ["self", "assoc", "inIP", "inPort", "outIP", "outPort", "sendrecv", "dtmf"]


def test_the_constructor_chooses_the_first_codec_with_a_number():
    assert client(assoc={101: PayloadType.EVENT, 8: PayloadType.PCMA}).preference is PayloadType.PCMA


def test_the_constructor_opens_no_socket_and_starts_no_thread():
    made = client()
    assert not hasattr(made, "sin")
    assert made.NSD is True


def test_the_constructor_keeps_both_addresses():
    made = client()
    assert (made.inIP, made.inPort, made.outIP, made.outPort) == ("127.0.0.1", 4000, "127.0.0.2", 4002)


@pytest.mark.parametrize("name", ["pmin", "pmout", "outOffset", "outSequence", "outTimestamp", "outSSRC"])
def test_what_is_taken_away_was_there(name: str):
    assert name in vars(client())


@pytest.mark.parametrize("name", ["start", "stop"])
def test_a_call_starts_and_stops_its_client_by_these_names(name: str):
    assert list(inspect.signature(getattr(RTPClient, name)).parameters) == ["self"]


def test_audio_is_read_and_written_by_these_names():
    assert list(inspect.signature(RTPClient.read).parameters) == ["self", "length", "blocking"]
    assert inspect.signature(RTPClient.read).parameters["length"].default == 160
    assert list(inspect.signature(RTPClient.write).parameters) == ["self", "data"]


def test_a_marked_event_packet_calls_dtmf_with_the_key():
    keys: list[str] = []
    client(dtmf=keys.append).parse_packet(EVENT_PACKET)
    assert keys == ["#"]


def test_what_cannot_be_parsed_raises_its_own_error():
    with pytest.raises(RTPParseError):
        client().parse_packet(b"\x00" + EVENT_PACKET[1:])
