"""The SIP side of a worker, made as the settings say; what cannot be made is told to the operator."""

from typing import Any

from app.media.rtp import RtpPool
from app.media.ticker import Ticker
from app.runtime import log
from app.runtime.clock import SteadyClock
from app.runtime.settings import Settings
from app.sip.crypto import Srtp
from app.sip.engine import CallRules
from app.sip.phone import SipPhone
from app.sip.tls import security
from app.wiring.role import sip_policy

_log = log.get(__name__)


async def started_phone(settings: Settings, clock: SteadyClock, tap: Any, ticker: Ticker) -> Any:
    """None when it cannot be had; the operator has been told why."""
    try:
        phone = make_phone(settings, clock, tap, ticker)
    except OSError as error:
        _log.error("sip.tls_unusable", error=str(error), remedy="see the settings DIAL_SIP_TLS_CA, _CERT and _KEY")
        return None
    except ValueError as error:
        _log.error("sip.setting_unusable", error=str(error), remedy="see DIAL_SIP_PROXY and DIAL_DNS")
        return None
    try:
        await phone.start()
    except OSError as error:
        where = f"{settings.sip_host}:{settings.sip_port}"
        remedy = "see DIAL_SIP_HOST, DIAL_SIP_PORT and DIAL_SIP_TLS_PORT"
        _log.error("sip.cannot_bind", sip=where, error=error.strerror, remedy=remedy)
        return None
    return phone


def make_phone(settings: Settings, clock: SteadyClock, tap: Any = None, ticker: Ticker | None = None) -> Any:
    """The SIP side of a worker, bound when it is started; `tap` sees its messages unless the trace is off."""
    traced = tap is not None and settings.trace == "on"
    media = RtpPool(settings.sip_host, settings.rtp_range, timeout=settings.rtp_timeout, ticker=ticker)
    return SipPhone(
        host=settings.sip_host,
        port=settings.sip_port,
        advertised_host=settings.sip_advertised_host,
        name_server=settings.dns,
        rules=CallRules(srtp=Srtp(settings.srtp), proxy=settings.sip_proxy, inbound_rate=settings.inbound_rate),
        security=security(
            ca=settings.sip_tls_ca,
            certificate=settings.sip_tls_cert,
            key=settings.sip_tls_key,
            verify=settings.sip_tls_verify == "on",
            port=settings.sip_tls_port,
        ),
        policy=sip_policy(settings),
        media=media,
        clock=clock,
        on_message=tap.on_message if traced else None,
        on_leg=tap.follow if traced else None,
    )
