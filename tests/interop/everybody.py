"""All peers at once: starts two services (one behind Kamailio) and calls everybody side by side. Judges nothing."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from tests.interop import bite, kamailio_peer, phones, sipp_peer
from tests.interop.lab import Lab, lab_of
from tests.interop.ledger import Proof, Result, run
from tests.kit import baresip, kamailio, linphone, sipp
from tests.kit.service import Service, running_service
from tests.kit.tls import Authority

Found = dict[str, list[Result]]


async def turn_every_check(folder: Path, *, only: str = "") -> Found:
    """Every check of the SIPp scenarios the other way round."""
    async with AsyncExitStack() as stack:
        lab = await _lab(stack, folder / "plain")
        return {"SIPp": await run([proof for proof in bite.proofs() if only in proof.name], lab)}


async def call_everybody(folder: Path, *, only: str = "") -> Found:
    """The results of each peer; `only` those proofs whose name holds it."""
    authority = Authority(folder)
    async with AsyncExitStack() as stack:
        proxy = stack.enter_context(kamailio.kamailio(alice="secret"))
        lab, proxied = await asyncio.gather(
            _lab(stack, folder / "plain", DIAL_SIP_TLS_CA=str(authority.file), DIAL_LOG_LEVEL="debug"),
            _lab(stack, folder / "proxied", DIAL_SIP_PROXY=f"sip:127.0.0.1:{proxy.port};lr"),
        )
        proofs: dict[str, Sequence[Proof]] = {
            "SIPp": sipp_peer.proofs(),
            "Kamailio": kamailio_peer.proofs(proxy, lab, proxied),
            "baresip": phones.of_baresip(authority.certificate("127.0.0.1")),
            "linphone": phones.of_linphone(),
        }
        chosen = {peer: [one for one in some if only in f"{peer}: {one.name}"] for peer, some in proofs.items()}
        results = await run([one for some in chosen.values() for one in some], lab)
    by_name = {result.proof: result for result in results}
    return {peer: [by_name[one] for one in some] for peer, some in chosen.items() if some}


def versions() -> dict[str, str]:
    return {
        "SIPp": sipp.version(),
        "Kamailio": kamailio.version(),
        "baresip": baresip.version(),
        "linphone": linphone.version(),
    }


async def _lab(stack: AsyncExitStack, folder: Path, **settings: str) -> Lab:
    folder.mkdir()
    running = running_service(folder, **settings)
    service: Service = await asyncio.to_thread(running.__enter__)
    stack.push_async_callback(asyncio.to_thread, running.__exit__, None, None, None)
    return await stack.enter_async_context(lab_of(service))
