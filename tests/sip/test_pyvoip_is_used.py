"""An honest metric: how much of pyVoIP runs during one call, whose every object is a pyVoIP object."""

import gc
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType

import pyVoIP

from app.calls.ports import Pressed, Progress
from app.sip.call import SipCall
from app.sip.message import SipMessage
from app.sip.pyvoip import RTPClient, SIPClient, SIPMessage, VoIPCall, VoIPPhone
from tests.sip.conftest import NewBench, answered, outcome_of, told
from tests.sip.peer import Peer, sdp

PACKAGE = str(Path(pyVoIP.__file__).parent)
CLASSES = (VoIPPhone, VoIPCall, SIPClient, SIPMessage, RTPClient)
AT_LEAST = 40


@contextmanager
def functions_of_pyvoip() -> Iterator[set[CodeType]]:
    """The functions defined in pyVoIP's files that are entered while this is open."""
    entered: set[CodeType] = set()

    def look(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            entered.add(frame.f_code)

    sys.setprofile(look)
    try:
        yield entered
    finally:
        sys.setprofile(None)


async def press_two_keys(leg: SipCall, peer: Peer, invite: SipMessage, rtp: socket.socket) -> None:
    """One packet of RFC 4733, then a digit by INFO: both are in the buffer that pyVoIP keeps."""
    assert leg.session is not None
    event = struct.pack("!BBHIIBBH", 0x80, 0x80 | 101, 1, 160, 4711, 5, 10, 160)
    rtp.sendto(event, ("127.0.0.1", leg.session.media.local_port))
    peer.ask(invite, "INFO", body=b"Signal=7\r\n", kind="application/dtmf-relay")
    await peer.expect("200 INFO")
    assert {(await told(leg, Pressed)).key for _ in range(2)} == {"5", "7"}
    assert sorted(leg.get_dtmf(2)) == ["5", "7"]


async def test_one_call_runs_at_least_forty_functions_of_all_five_classes(new_bench: NewBench, peer: Peer) -> None:
    rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    rtp.bind(("127.0.0.1", 0))
    with rtp, functions_of_pyvoip() as entered:
        bench = await new_bench()
        leg = await bench.call(peer.uri, username="alice", password="secret")
        invite = await peer.expect("INVITE")
        digest = ("WWW-Authenticate", 'Digest realm="r", nonce="n", algorithm=MD5')
        peer.answer(invite, 401, headers=(digest,))
        await peer.expect("ACK")
        invite = await peer.expect("INVITE")
        peer.answer(invite, 180)
        body = sdp(port=rtp.getsockname()[1], formats="0 101") + b"a=rtpmap:101 telephone-event/8000\r\n"
        peer.answer(invite, 200, body=body)
        await peer.expect("ACK")
        await answered(leg)
        await press_two_keys(leg, peer, invite, rtp)
        leg.write_audio(b"\0\0" * 160)
        assert len(leg.read_audio(160)) == 320
        leg.hang_up()
        bye = await peer.expect("BYE")
        peer.ask(invite, "BYE")  # both hang up at once
        await peer.expect("200 BYE")
        peer.answer(bye, 200)
        await outcome_of(leg)
        await bench.phone.stop()
        bench.legs.clear()
        del leg
        gc.collect()  # the net under it: a call that is collected returns its port
    names = sorted(code.co_qualname for code in entered)
    assert len(names) >= AT_LEAST, names
    for each in CLASSES:
        assert any(name.startswith(f"{each.__name__}.") for name in names), f"nothing of {each.__name__} ran"


async def test_the_objects_of_a_call_are_pyvoips(new_bench: NewBench, peer: Peer) -> None:
    bench = await new_bench()
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.answer(invite, 180)
    await told(leg, Progress)
    peer.accept(invite)
    await peer.expect("ACK")
    await answered(leg)
    assert isinstance(bench.phone, VoIPPhone)
    assert isinstance(leg, VoIPCall)
    assert isinstance(leg.sip, SIPClient)
    assert isinstance(invite, SIPMessage)
    assert all(isinstance(client, RTPClient) for client in leg.RTPClients) and len(leg.RTPClients) == 1
    assert bench.phone.calls == {leg.call_id: leg}
