"""One INVITE to one hop, and everything that may still come back for it: also when nobody wants it any more.

Knows CANCEL, ACK, forks and late answers (RFC 3261 §9.1, §13.2.2, RFC 6026), not media and not outcomes.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from app.sip import build
from app.sip.account import SipAccount
from app.sip.compose import Here, Invite
from app.sip.dialog import Dialog
from app.sip.engine import Engine
from app.sip.exchange import UNHEARD, ClientExchange
from app.sip.headers import contact_uri
from app.sip.message import SipMessage
from app.sip.transaction import State
from app.sip.usage import DialogUsage

_MOST_FORKS = 64  # dialogs of one INVITE; who makes more of them is no proxy


class InviteUser(Protocol):
    """Who wants the call. After `abandon` it hears nothing but `on_unwanted` and `on_finished`."""

    def on_progress(self, invitation: "Invitation", response: SipMessage) -> None: ...

    def on_success(self, invitation: "Invitation", response: SipMessage) -> None:
        """The first 2xx; its user must `establish` and acknowledge it."""

    def on_failure(self, invitation: "Invitation", response: SipMessage) -> None:
        """A final response 300–699; its ACK has left."""

    def on_silent(self, invitation: "Invitation") -> None:
        """Timer B: no response of any kind for 64·T1."""

    def on_unsendable(self, invitation: "Invitation", why: str) -> None: ...

    def on_unwanted(self, invitation: "Invitation", usage: DialogUsage) -> None:
        """An abandoned one was answered: its dialog gets an ACK and a BYE."""

    def on_finished(self, invitation: "Invitation") -> None:
        """An abandoned one needs nothing any more."""


class _Parted:
    """The user of an INVITE that nobody waits for, but to know when nothing more can come."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then

    def on_progress(self, invitation: "Invitation", response: SipMessage) -> None: ...

    def on_success(self, invitation: "Invitation", response: SipMessage) -> None: ...

    def on_failure(self, invitation: "Invitation", response: SipMessage) -> None: ...

    def on_silent(self, invitation: "Invitation") -> None: ...

    def on_unsendable(self, invitation: "Invitation", why: str) -> None: ...

    def on_unwanted(self, invitation: "Invitation", usage: DialogUsage) -> None: ...

    def on_finished(self, invitation: "Invitation") -> None:
        self._then()


class Invitation:
    def __init__(self, engine: Engine, account: SipAccount, invite: Invite, here: Here, user: InviteUser) -> None:
        self.engine = engine
        self.here = here
        self.invite = invite
        self.hop = invite.hop
        self._account = account
        self._user: InviteUser = user
        self._exchange: ClientExchange | None = None
        self._provisional = False
        self._final = False
        self._canceled = False
        self._abandoned = False
        self._is_late = False  # timer B has fired, and answers are heard all the same
        self._usages: dict[str, DialogUsage] = {}  # by remote tag, early ones too
        self._confirmed: set[str] = set()

    @property
    def size(self) -> int:
        """Bytes of the INVITE."""
        return len(self.invite.data)

    def send(self) -> None:
        invite = self.invite
        self._exchange = self.engine.endpoint.request(
            invite.hop, invite.data, self, branch=invite.branch, method="INVITE"
        )

    def abandon(self) -> None:
        """Nobody wants it any more: CANCEL, but only after a provisional (§9.1), and end whatever is answered late."""
        if self._abandoned:
            return
        self._abandoned = True
        if self._exchange is None or self._final:
            self._finish()
        elif self._provisional:
            self._cancel()

    def part(self, then: Callable[[], None]) -> None:
        """The user is gone: what still comes is ended here. `then`: nothing can come any more."""
        self._abandoned = True
        self._user = _Parted(then)
        if not self._is_late:
            then()

    def usage(self, remote_tag: str | None) -> DialogUsage | None:
        """The dialog, early or confirmed, with that tag."""
        return self._usages.get(remote_tag or "")

    def establish(self, response: SipMessage) -> DialogUsage:
        """The dialog that a 101–299 makes or confirms (§12.1.2)."""
        tag = response.to_tag or ""
        confirmed = response.status_code >= 200
        usage = self._usages.get(tag)
        if usage is None:
            usage = self._usages[tag] = self._new_usage(tag, response)
        usage.dialog.establish(
            contact=contact_uri(response.first("contact")),
            record_routes=response.all("record-route"),
            confirmed=confirmed,
        )
        if confirmed and tag not in self._confirmed:
            usage.ended = False  # a BYE that came before the 2xx ended nothing (§15): ours must still go
            self._confirmed.add(tag)
        return usage

    def acknowledge(self, usage: DialogUsage) -> None:
        """ACK the 2xx that `usage` was established by."""
        usage.acknowledge(self.invite.cseq, self.invite.credentials)

    # -- ResponseUser

    def on_response(self, response: SipMessage) -> None:
        code, tag = response.status_code, response.to_tag or ""
        if code < 300 and tag not in self._usages and len(self._usages) >= _MOST_FORKS and not self._makes_room(code):
            return
        if code < 200:
            self._on_provisional(response)
        elif code < 300:
            self._on_success(response)
        else:
            self._on_failure(response)

    def on_timeout(self) -> None:
        # Timer B. What comes later still is canceled or ended, for another 64·T1.
        self._is_late = True
        self.engine.endpoint.answer_late(self.invite.branch, "INVITE", self)
        self._later(self._forget_late)
        if not self._abandoned:
            self._abandoned = True
            self._user.on_silent(self)

    def on_unsendable(self, why: str) -> None:
        if self._abandoned:
            self._finish()
        else:
            self._abandoned = True
            self._user.on_unsendable(self, why)

    # --

    def _on_provisional(self, response: SipMessage) -> None:
        self._provisional = True
        if self._abandoned:
            self._cancel()
        else:
            self._user.on_progress(self, response)

    def _makes_room(self, code: int) -> bool:
        """Some put a new tag into every 180: an early dialog is forgotten for one that answers."""
        early = next((tag for tag in self._usages if tag not in self._confirmed), None)
        if code < 200 or early is None:
            return False
        del self._usages[early]
        return True

    def _on_success(self, response: SipMessage) -> None:
        tag = response.to_tag or ""
        if tag in self._confirmed:
            self._usages[tag].repeat_ack()
            return
        unwanted = self._abandoned or bool(self._confirmed)
        self._final = True
        if unwanted:
            self._dismiss(response)
        else:
            self._user.on_success(self, response)

    def _on_failure(self, response: SipMessage) -> None:
        self._final = True
        if self._exchange is not None and self._exchange.state is State.TERMINATED:  # after timer B
            self.engine.endpoint.send(self.hop, build.ack_for(SipMessage.decode(self.invite.data), response))
        if self._abandoned:
            self._finish()
        else:
            self._abandoned = True
            self._user.on_failure(self, response)

    def _dismiss(self, response: SipMessage) -> None:
        """A 2xx that nobody wants: another branch of a fork, or one that crossed our CANCEL."""
        usage = self.establish(response)

        def end() -> None:
            self.acknowledge(usage)
            if self._abandoned:
                self._user.on_unwanted(self, usage)
            if usage.ended:  # the peer's BYE came while the name in its Contact was looked up
                self._finish()
            else:
                usage.bye(lambda answer: self._finish())

        usage.aim(end)

    def _cancel(self) -> None:
        if self._canceled:
            return
        self._canceled = True
        data = build.cancel_for(SipMessage.decode(self.invite.data))
        self.engine.endpoint.request(self.hop, data, UNHEARD, branch=self.invite.branch, method="CANCEL")
        self._later(self._give_up)

    def _give_up(self) -> None:
        """64·T1 after the CANCEL without a final answer (§9.1)."""
        exchange = self._exchange
        if exchange is not None and not self._final and exchange.state is State.PROCEEDING:
            self.engine.endpoint.forget(exchange)
            exchange.close()
        if not self._final:
            self._finish()

    def _forget_late(self) -> None:
        self._is_late = False
        self.engine.endpoint.ignore_late(self.invite.branch, "INVITE")
        self._finish()

    def _finish(self) -> None:
        if self._abandoned:
            self._user.on_finished(self)

    def _later(self, what: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(self.engine.endpoint.timing.lifetime, what)

    def _new_usage(self, tag: str, response: SipMessage) -> DialogUsage:
        invite = self.invite
        dialog = Dialog(
            call_id=invite.call_id,
            local_tag=self._account.local_tag,
            remote_tag=tag,
            from_value=invite.from_value,
            to_value=response.to_value,
        )
        dialog.local_cseq = invite.cseq
        dialog.remote_target = invite.uri  # until a Contact says better
        return DialogUsage(self.engine, self._account, dialog, here=self.here, fallback=self.hop)
