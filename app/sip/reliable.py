"""Reliable provisionals (RFC 3262): each is PRACKed once and in order. Knows no call."""

from app.sip.message import SipMessage
from app.sip.usage import DialogUsage, ignore


class ReliableProvisionals:
    """The newest RSeq of each early dialog."""

    def __init__(self) -> None:
        self._newest: dict[str, int] = {}

    def accept(self, usage: DialogUsage, response: SipMessage) -> bool:
        """Whether the response counts: not a repeated one, nor one that overtook another (§4)."""
        if "100rel" not in (option.lower() for option in response.all("require")):
            return True
        number = _number(response.first("rseq"))
        if number is None:
            return True
        tag = usage.dialog.remote_tag
        newest = self._newest.get(tag)
        if newest is not None and number != newest + 1:
            return False
        self._newest[tag] = number
        sequence, method = response.cseq
        usage.request("PRACK", ignore, headers=(("RAck", f"{number} {sequence} {method}"),))
        return True


def _number(text: str | None) -> int | None:
    """RSeq: 1 to 2^32 - 1 (§7.1)."""
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 10:
        return None
    return int(text)
