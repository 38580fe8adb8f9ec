"""The one door through which signalling reaches pyVoIP 1.6; knows names, not what they are used for.

`pyVoIP.VoIP` comes before `pyVoIP.SIP`: the two import each other, and only this order works (measured with 1.6.8).
Each attribute that we rely on has a contract test in tests/unit/sip/test_pyvoip.py, so that an upgrade fails loudly.
"""

# isort: off
from pyVoIP.VoIP import CallState, InvalidStateError, NoPortsAvailableError, PhoneStatus, VoIPCall, VoIPPhone
from pyVoIP.SIP import Counter, SIPClient, SIPMessage, SIPMessageType, SIPParseError, SIPStatus
from pyVoIP.RTP import PayloadType, RTPClient, RTPMessage, RTPParseError, RTPProtocol, TransmitType
# isort: on

__all__ = [
    "CallState",
    "Counter",
    "InvalidStateError",
    "NoPortsAvailableError",
    "PayloadType",
    "PhoneStatus",
    "RTPClient",
    "RTPMessage",
    "RTPParseError",
    "RTPProtocol",
    "SIPClient",
    "SIPMessage",
    "SIPMessageType",
    "SIPParseError",
    "SIPStatus",
    "TransmitType",
    "VoIPCall",
    "VoIPPhone",
]
