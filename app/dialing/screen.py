"""Screening: a callee that answered hears a document alone, and is connected if that ends (contract 4.4)."""

import asyncio
from dataclasses import dataclass

from app.calls.outcome import Outcome, Reason, because, hung_up
from app.dialing.interpret import Ending, Fate, Script, Sources
from app.dialing.leg import Leg
from app.dialing.record import Screened
from app.rcml.plan import Document, Redirect, Screening, Where

# How a script may end, and what that means for the leg: the record's word, and the reason if it is not accepted.
_VERDICTS: dict[Ending, tuple[Screened, Reason | None]] = {
    Ending.DOCUMENT_END: ("accepted", None),
    Ending.HANGUP: ("declined", Reason.SCREENING_DECLINED),
    Ending.REJECT: ("declined", Reason.SCREENING_DECLINED),
    Ending.BUSY: ("declined", Reason.SCREENING_DECLINED),
    Ending.BROKEN: ("error", Reason.SCREENING_ERROR),
    Ending.STOPPED: ("timeout", Reason.SCREENING_TIMEOUT),
}


@dataclass(frozen=True, slots=True)
class Screener:
    sources: Sources

    async def screen(self, leg: Leg, screening: Screening) -> Outcome | None:
        """None: accepted; else how the leg is to end. Cancelled when the leg ends by itself."""
        leg.record.screening("running")

        def declines(outcome: Outcome) -> Outcome:
            if outcome.reason is not Reason.CALLEE_HANGUP:
                return outcome
            leg.record.screening("declined")
            return hung_up(Reason.SCREENING_DECLINED)

        usual, leg.reading = leg.reading, declines
        fate = await self._run(leg, screening)
        leg.reading = usual
        word, reason = _VERDICTS[fate.ending]
        leg.record.screening(word)
        if reason is None:
            return None
        return because(hung_up(reason), fate.detail) if fate.detail else hung_up(reason)

    async def _run(self, leg: Leg, screening: Screening) -> Fate:
        script = Script(leg.record, self.sources, where=Where.SCREENING, line=leg)
        document = Document((Redirect(screening.link),))
        running = asyncio.ensure_future(script.run(document))
        waiting = asyncio.ensure_future(self.sources.clock.sleep(screening.timeout))
        try:
            await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                script.stop()
            return await running
        finally:
            waiting.cancel()
            if not running.done():
                running.cancel()
