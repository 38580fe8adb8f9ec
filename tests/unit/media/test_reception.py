"""Order, loss and jitter of one source."""

from app.media.reception import Reception, Verdict

NEW, LATE, DUPLICATE, JUMP = Verdict.NEW, Verdict.LATE, Verdict.DUPLICATE, Verdict.JUMP


def verdicts(*sequences: int) -> list[Verdict]:
    source = Reception(1)
    return [source.accept(sequence) for sequence in sequences]


def test_numbers_in_order_are_new_across_the_wrap():
    assert verdicts(65534, 65535, 0, 1) == [NEW] * 4


def test_the_same_number_again_is_a_duplicate():
    assert verdicts(5, 5, 6, 5) == [NEW, DUPLICATE, NEW, DUPLICATE]


def test_a_number_that_was_overtaken_is_late_once():
    assert verdicts(5, 7, 6, 6) == [NEW, NEW, LATE, DUPLICATE]


def test_a_late_number_from_before_the_wrap_is_late():
    assert verdicts(65534, 0, 65535) == [NEW, NEW, LATE]


def test_a_far_number_is_not_believed_alone():
    assert verdicts(100, 30_000, 101) == [NEW, JUMP, NEW]


def test_two_far_numbers_in_sequence_are_a_restart():
    assert verdicts(100, 30_000, 30_001, 30_002) == [NEW, JUMP, NEW, NEW]


def test_lost_counts_gaps_and_takes_off_what_came_late():
    source = Reception(1)
    for sequence in (10, 11, 14):
        source.accept(sequence)
    assert (source.lost, source.highest) == (2, 14)
    source.accept(13)
    assert source.lost == 1


def test_the_fraction_lost_is_since_the_last_report():
    source = Reception(1)
    for sequence in (1, 2, 3, 8):
        source.accept(sequence)
    assert source.fraction_lost() == 128
    source.accept(9)
    assert source.fraction_lost() == 0
    assert source.fraction_lost() == 0


def test_an_even_stream_has_no_jitter_and_a_far_timestamp_adds_none():
    source = Reception(1)
    for number in range(10):
        source.arrived(number * 160, number * 160.0)
    source.arrived(0xFFFFFFFF, 1600.0)
    assert source.jitter == 0


def test_jitter_goes_a_sixteenth_of_the_way_with_each_packet():
    source = Reception(1)
    source.arrived(0, 0.0)
    source.arrived(160, 176.0)
    assert source.jitter == 1.0
