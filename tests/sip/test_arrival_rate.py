"""How often one source may call, whichever numbers it tries."""

from app.sip.engine import CallRules
from tests.sip.caller import Caller
from tests.sip.conftest import NewBench


async def test_each_source_may_call_so_often_and_no_more(new_bench: NewBench) -> None:
    bench = await new_bench(rules=CallRules(inbound_rate=0.01))
    caller = Caller(bench)
    await caller.open()
    for number in range(3):
        caller.call_id = f"many-{number}"
        caller.invite()
    codes: list[int] = []
    while len(codes) < 3:
        codes.append((await caller.next()).status_code)
    assert sorted(codes) == [100, 503, 503]
    caller.close()


async def test_calls_to_numbers_that_are_not_ours_count_too(new_bench: NewBench) -> None:
    bench = await new_bench(rules=CallRules(inbound_rate=0.01))
    caller = Caller(bench)
    await caller.open()
    for number in range(3):
        caller.call_id = f"scan-{number}"
        caller.invite(number=f"no-{number}")
    answers = [await caller.next() for _ in range(3)]
    assert sorted(answer.status_code for answer in answers) == [404, 503, 503]
    assert next(answer for answer in answers if answer.status_code == 503).first("Retry-After")
    assert bench.phone.endpoint.transactions == 0
    caller.invite()
    await caller.expect("503 INVITE")
    caller.close()
