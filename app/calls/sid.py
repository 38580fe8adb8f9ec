"""Names of things: makes and checks the sids that customers see; knows nothing of what they name."""

import re
import secrets
from typing import NewType

CallSid = NewType("CallSid", str)
AccountSid = NewType("AccountSid", str)
MessageId = NewType("MessageId", str)
RecordingSid = NewType("RecordingSid", str)

_CALL = re.compile(r"CA[0-9a-f]{32}\Z")
_RECORDING = re.compile(r"RE[0-9a-f]{32}\Z")
_ACCOUNT = re.compile(r"AC[0-9a-f]{32}\Z")


def new_call_sid() -> CallSid:
    """``CA`` and 128 random bits in hex."""
    return CallSid("CA" + secrets.token_hex(16))


def new_account_sid() -> AccountSid:
    """``AC`` and 128 random bits in hex."""
    return AccountSid("AC" + secrets.token_hex(16))


def new_message_id() -> MessageId:
    """The id of one delivery, the same in every attempt (``webhook-id`` of Standard Webhooks)."""
    return MessageId("msg_" + secrets.token_hex(16))


def new_recording_sid() -> RecordingSid:
    """``RE`` and 128 random bits in hex."""
    return RecordingSid("RE" + secrets.token_hex(16))


def is_recording_sid(text: str) -> bool:
    return _RECORDING.match(text) is not None


def is_call_sid(text: str) -> bool:
    return _CALL.match(text) is not None


def is_account_sid(text: str) -> bool:
    return _ACCOUNT.match(text) is not None
