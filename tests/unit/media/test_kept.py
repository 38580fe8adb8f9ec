"""What is kept of sounds, and for how long there is room."""

from app.media.kept import Kept, Shelf

EACH = 1000 + 512


def shelf(room: int = 3) -> Shelf:
    made = Shelf(room * EACH)
    for name in "abc"[:room]:
        made.put(name, Kept(bytes(1000)))
    return made


def test_the_one_unused_longest_gives_way() -> None:
    kept = shelf()
    kept.get("a")
    kept.put("d", Kept(bytes(1000)))
    assert [name for name in "abcd" if kept.get(name)] == ["a", "c", "d"]
    assert kept.used == 3 * EACH


def test_a_new_sound_takes_the_place_of_its_old_one() -> None:
    kept = shelf()
    kept.put("b", Kept(b"new"))
    assert kept.get("b") == Kept(b"new") and kept.get("a") and kept.get("c")
    assert kept.used == 2 * EACH + 3 + 512


def test_a_sound_as_long_as_there_is_room_is_kept_alone_and_a_longer_one_not_at_all() -> None:
    kept = shelf()
    kept.put("d", Kept(bytes(3 * EACH)))
    assert kept.get("d") is None and kept.get("a")
    kept.put("d", Kept(bytes(3 * EACH - 512)))
    assert kept.get("d") and not kept.get("a")


def test_what_is_dropped_gives_its_room_back() -> None:
    kept = shelf()
    for name in "aabbcc":
        kept.drop(name)
    assert kept.used == 0


def test_many_empty_sounds_fill_it_too() -> None:
    kept = Shelf(10 * 512)
    for number in range(100):
        kept.put(number, Kept(b""))
    assert [number for number in range(100) if kept.get(number)] == list(range(90, 100))
