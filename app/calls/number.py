"""A number of ours: the user part of our SIP address that callers dial, and the document that answers it."""

from dataclasses import dataclass
from datetime import datetime

from app.calls.callback import Callback, HttpMethod
from app.calls.sid import AccountSid


@dataclass(frozen=True, slots=True)
class Number:
    """One number. It belongs to one account; the SIP address is one for all accounts, so numbers are unique."""

    number: str  # as in the Request-URI, unescaped; compared exactly
    account_sid: AccountSid
    url: str  # RCML; absolute, user information included
    method: HttpMethod
    created_at: datetime
    updated_at: datetime
    fallback_url: str | None = None  # tried once when `url` cannot be fetched or is not valid
    fallback_method: HttpMethod = "POST"
    status_callback: Callback | None = None  # of the inbound parent calls
    friendly_name: str | None = None
