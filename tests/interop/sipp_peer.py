"""SIPp's part: each file in `scenarios` is one proof. Its root says what it proves, what we do, how the leg ends."""

import asyncio
import json
import xml.etree.ElementTree as ET
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from tests.interop.lab import Lab, Placed, outcome
from tests.interop.ledger import Proof
from tests.interop.logins import logins, wrong_logins
from tests.interop.script import expand
from tests.kit.sipp import Sipp, sipp

FOLDER = Path(__file__).parent / "scenarios"


_LONG_HEADERS = "\n".join(f"X-Filler-{number}: {'x' * 200}" for number in range(60))


@dataclass(frozen=True)
class Scenario:
    """One file. Attributes of its root:

    `proves` and `feature`; `ends`, the leg's status, reason and SIP code; `does`: what the caller does (``hangs up``
    once connected, ``cancels`` once it rings, ``cancels at once``), else nothing; `dial` and `sip`: JSON for the dial
    request, in which ``[port]`` is the callee's; `logins`, how many credentials must have come (all must be right);
    `tcp`; `also`: a second callee, whose port is ``[other]``; SIPp's
    `arguments`; `seconds` that it takes when they are many.
    """

    name: str

    @cached_property
    def text(self) -> str:
        text = (FOLDER / f"{self.name}.xml").read_text()
        return text.replace("LONG-HEADERS", _LONG_HEADERS).replace("LONG", "x" * 700)

    @cached_property
    def root(self) -> ET.Element:
        return ET.fromstring(self.text)

    @property
    def is_a_proof(self) -> bool:
        """Without it the file is somebody's second callee."""
        return "proves" in self.root.attrib

    def proof(self) -> Proof:
        sentence, feature = self.root.attrib["proves"], self.root.attrib["feature"]
        return Proof(feature, f"{self.name}: {sentence}", self.check, float(self.root.get("seconds", "0")))

    def request(self, port: int, other: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """The `sip` and the rest of the dial request."""

        def read(name: str) -> dict[str, Any]:
            text = self.root.get(name, "{}").replace("[port]", str(port)).replace("[other]", str(other))
            return dict(json.loads(text))

        transport = ";transport=tcp" if self.root.get("tcp") else ""
        return {"uri": f"sip:alice@127.0.0.1:{port}{transport}", **read("sip")}, read("dial")

    async def check(self, lab: Lab) -> None:
        with ExitStack() as callees:
            also = self.root.get("also")
            other = callees.enter_context(await asyncio.to_thread(Scenario(also).start)) if also else None
            start = partial(self.start, other=str(other.port) if other else "0")
            first = callees.enter_context(await asyncio.to_thread(start))
            sip, dial = self.request(first.port, other.port if other else 0)
            placed = await lab.place(sip, **dial)
            try:
                await placed.reaches("initiated", 10)
                await self.act(placed)
                for callee in filter(None, (first, other)):
                    status = await asyncio.to_thread(callee.wait, 60)
                    assert status == 0, "SIPp complains"
                    assert not (wrong := wrong_logins(callee.said())), f"wrong credentials: {wrong}"
                assert logins(first.said()) >= int(self.root.get("logins", "0")), "credentials are missing"
                found = outcome((await placed.ends())[0])
                assert found == self.root.attrib["ends"], f"it ended {found}, not {self.root.attrib['ends']}"
            except Exception as error:
                said = first.complaints() + (other.complaints() if other else "")
                raise AssertionError(f"{error}\n{said}\n{await placed.ladder()}") from error

    def start(self, *, tcp: bool = False, **words: str) -> "_Started":
        """A callee that plays it, each ``[word]`` replaced; enter it to get hold of it."""
        text = self.text
        for word, value in words.items():
            text = text.replace(f"[{word}]", value)
        return self.play(expand(text), tcp=tcp)

    def play(self, plain: str, *, tcp: bool = False) -> "_Started":
        """A callee for a plain scenario, with this one's arguments."""
        arguments = ("-timeout", "70", "-timeout_error", *self.root.get("arguments", "").split())
        return _Started(sipp(*arguments, scenario=plain, tcp=tcp or bool(self.root.get("tcp"))))

    async def act(self, placed: Placed) -> None:
        match self.root.get("does"):
            case "hangs up":
                await placed.reaches("in-progress")
                await placed.hang_up()
            case "cancels":
                await placed.reaches("ringing")
                await placed.hang_up("canceled")
            case "cancels at once":
                await placed.hang_up("canceled")


class _Started(ExitStack):
    """A callee that a thread has started, which the loop's side closes."""

    def __init__(self, running: Any) -> None:
        super().__init__()
        self._sipp: Sipp = self.enter_context(running)

    def __enter__(self) -> Sipp:  # type: ignore[override] # the callee, not the stack
        return self._sipp


def scenarios() -> list[Scenario]:
    return [scenario for path in sorted(FOLDER.glob("*.xml")) if (scenario := Scenario(path.stem)).is_a_proof]


def proofs() -> list[Proof]:
    return [scenario.proof() for scenario in scenarios()]
