"""RFC 4733 both ways."""

import pytest

from app.media.dtmf import KEYS, KeyListener, KeySender

HELD, END = 10, 10 | 0x80


def event(key: str, *, end: bool = False, duration: int = 160) -> bytes:
    return bytes((KEYS.index(key), END if end else HELD)) + duration.to_bytes(2, "big")


def presses(*packets: tuple[int, bytes]) -> list[bool]:
    listener = KeyListener()
    return [listener.hear(timestamp, payload) for timestamp, payload in packets]


def frames(sender: KeySender, count: int, start: int = 0) -> list[tuple[bool, int, bytes] | None]:
    return [sender.next(start + number * 160, 160) for number in range(count)]


def test_one_press_of_many_packets_is_one_key():
    packets = [(800, event("5", duration=n * 160)) for n in range(1, 6)] + [(800, event("5", end=True))] * 3
    assert presses(*packets) == [True] + [False] * 7


def test_a_press_of_which_only_the_end_came_is_a_key():
    assert presses((800, event("5", end=True)), (800, event("5", end=True))) == [True, False]


def test_the_same_key_pressed_again_is_a_second_key():
    assert presses((800, event("5", end=True)), (2400, event("5"))) == [True, True]


def test_a_packet_of_the_press_before_is_no_key():
    assert presses((800, event("5")), (2400, event("6")), (800, event("5", end=True))) == [True, True, False]


def test_the_next_segment_of_a_very_long_press_is_no_second_key():
    assert presses((800, event("5")), (800 + 0xFFFF, event("5"))) == [True, False]


def test_timestamps_may_wrap_between_presses():
    assert presses((0xFFFFFF00, event("5")), (100, event("6"))) == [True, True]


@pytest.mark.parametrize("payload", [b"", b"\x05", b"\x05\x0a\x00", bytes((16, 10, 0, 160)), bytes((255, 10, 0, 160))])
def test_flash_tones_and_stumps_are_no_keys(payload: bytes):
    assert presses((800, payload)) == [False]


def test_a_press_is_one_marked_packet_then_growing_ones_then_three_ends():
    sender = KeySender()
    assert sender.press("#", 640)
    sent = [packet for packet in frames(sender, 10, 5000) if packet is not None]
    assert [packet[0] for packet in sent] == [True] + [False] * 5
    assert {packet[1] for packet in sent} == {5000}
    assert [packet[2] for packet in sent] == [
        event("#", duration=160),
        event("#", duration=320),
        event("#", duration=480),
        *[event("#", end=True, duration=640)] * 3,
    ]


def test_the_shortest_press_still_starts_before_it_ends():
    sender = KeySender()
    sender.press("1", 1)
    sent = [packet for packet in frames(sender, 6) if packet is not None]
    assert [bool(packet[2][1] & 0x80) for packet in sent] == [False, True, True, True]


def test_two_presses_are_kept_apart():
    sender = KeySender()
    sender.press("1", 320)
    sender.press("1", 320)
    sent = frames(sender, 12)
    assert [packet is None for packet in sent] == [False] * 4 + [True] * 4 + [False] * 4
    listener = KeyListener()
    assert sum(listener.hear(packet[1], packet[2]) for packet in sent if packet) == 2


@pytest.mark.parametrize("key", ["", "12", "E", "\u0661", " "])
def test_what_is_no_key_is_refused(key: str):
    with pytest.raises(ValueError, match="DTMF"):
        KeySender().press(key, 800)


def test_only_so_many_keys_wait():
    sender = KeySender()
    assert sum(sender.press("1", 800) for _ in range(100)) == 64
    sender.clear()
    assert not sender
