"""Who a call is placed as: pyVoIP's SIPClient without its socket, its thread and its registration.

One cheap view per call: server, credentials, unguessable identifiers. Knows digest, not what a request is for.
"""

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from app.sip import digest
from app.sip.build import Header
from app.sip.message import SipMessage
from app.sip.pyvoip import SIPClient, SIPMessage

if TYPE_CHECKING:
    from app.sip.pyvoip import VoIPPhone

_MOST_CHALLENGES = 4  # of one request: a proxy, the callee, and each of them once stale
_MOST_REALMS = 8  # in one answer: each makes the next request longer
_FIELDS = (("WWW-Authenticate", "Authorization"), ("Proxy-Authenticate", "Proxy-Authorization"))


class Chain:
    """The challenges that one request has met so far."""

    __slots__ = ("answered", "count")

    def __init__(self) -> None:
        self.answered: set[tuple[str, str]] = set()
        self.count = 0


class SipAccount(SIPClient):
    """Its names are pyVoIP's; branches and the URN come from pyVoIP's generators, which draw on `os.urandom`."""

    def __init__(
        self,
        phone: "VoIPPhone",
        *,
        server: str,
        port: int,
        credentials: tuple[str, str] | None,
        host: str,
        sip_port: int,
    ) -> None:
        username, password = credentials or ("", "")
        super().__init__(server, port, username, password, phone, myIP=host, myPort=sip_port)
        self._has_credentials = credentials is not None
        self._challenges: dict[tuple[str, str], digest.Challenge] = {}
        self._uses: dict[str, int] = {}  # nonce → how often it was used
        self.local_tag = self.gen_tag()
        self.on_bye: Callable[[], None] | None = None
        self.on_answer: Callable[[], str] | None = None
        self.out: Any = None  # pyVoIP's socket; where an incoming call is answered, the way back to its caller

    def bye(self, request: SIPMessage) -> None:
        """pyVoIP's `VoIPCall.hangup` calls it: the dialog knows where its BYE goes."""
        if self.on_bye is not None:
            self.on_bye()

    def gen_answer(self, request: SIPMessage, sess_id: str, ms: object, sendtype: object) -> str:
        """pyVoIP's `VoIPCall.answer` calls it and sends through `out` what this returns: our SDP."""
        return self.on_answer() if self.on_answer is not None else ""

    def gen_tag(self) -> str:
        """64 random bits; pyVoIP's are 32 from a guessable generator, kept in a list for ever."""
        return secrets.token_hex(8)

    def gen_call_id(self) -> str:
        """122 random bits; pyVoIP's is the hash of a counter, the same after each restart (its issue 316)."""
        return f"{self.gen_urn_uuid().lower()}@{self.myIP}"

    def forget_credentials(self) -> None:
        """They belong to the host that the customer named; a 3xx may lead anywhere."""
        self._has_credentials = False
        self._challenges.clear()

    def accept_challenge(self, response: SipMessage, chain: Chain) -> bool:
        """Whether the request of this 401 or 407 may be sent again, with `authorization`.

        Every realm that it names is answered, callee's and proxies' (RFC 3261 §22.3). Those that refuse what they were
        just answered are not, unless they call the nonce stale: Asterisk and Kamailio challenge a wrong password for
        ever (measured).
        """
        if not self._has_credentials:
            return False
        chain.count += 1
        fresh = {
            (field, challenge.realm): challenge
            for header, field in _FIELDS
            for challenge in digest.choose_each(response.all(header))[:_MOST_REALMS]
            if (field, challenge.realm) not in chain.answered or challenge.stale
        }
        if not fresh or chain.count > _MOST_CHALLENGES:
            return False
        chain.answered.update(fresh)
        self._challenges.update(fresh)
        return True

    def authorization(self, method: str, uri: str) -> list[Header]:
        """The credentials for one request, for every realm that has asked; none before a challenge."""
        return [(field, self._answer(challenge, method, uri)) for (field, _), challenge in self._challenges.items()]

    def _answer(self, challenge: digest.Challenge, method: str, uri: str) -> str:
        uses = self._uses[challenge.nonce] = self._uses.get(challenge.nonce, 0) + 1
        return digest.authorize(
            challenge,
            username=self.username,
            password=self.password,
            method=method,
            uri=uri,
            nc=uses,
            cnonce=secrets.token_hex(8),
        )
