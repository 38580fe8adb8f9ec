"""How often one source may call, in bounded memory."""

from app.sip import rate
from app.sip.rate import SourceRate


def test_twice_a_second_s_worth_may_come_at_once_and_then_one_after_the_other() -> None:
    limit = SourceRate(10)
    assert [limit.admits("192.0.2.1", 0.0) for _ in range(21)] == [True] * 20 + [False]
    assert [limit.admits("192.0.2.1", 0.1) for _ in range(2)] == [True, False]
    assert [limit.admits("192.0.2.1", 100.0) for _ in range(21)] == [True] * 20 + [False]


def test_each_source_has_its_own_and_an_ipv6_subscriber_one_for_all_its_addresses() -> None:
    limit = SourceRate(0.5)
    assert limit.admits("192.0.2.1", 0.0) and limit.admits("192.0.2.2", 0.0)
    assert limit.admits("2001:db8::1", 0.0) and not limit.admits("2001:db8::2", 0.0)
    assert limit.admits("2001:db8:0:1::1", 0.0)


def test_less_than_one_a_second_still_lets_the_first_one_in() -> None:
    limit = SourceRate(0.1)
    assert [limit.admits("192.0.2.1", now) for now in (0.0, 9.0, 10.1)] == [True, False, True]


def test_nought_is_no_limit() -> None:
    limit = SourceRate(0)
    assert all(limit.admits("192.0.2.1", 0.0) for _ in range(1000))


def test_its_memory_is_bounded_and_the_oldest_goes_first() -> None:
    limit = SourceRate(0.5)
    for number in range(rate._MOST_SOURCES + 10):
        assert limit.admits(f"source-{number}", 0.0)
    assert len(limit._buckets) == rate._MOST_SOURCES
    assert limit.admits("source-0", 0.0)
    assert not limit.admits(f"source-{rate._MOST_SOURCES}", 0.0)
