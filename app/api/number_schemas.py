"""The shapes of numbers for the OpenAPI document. Nothing is parsed or written with them."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from app.api.schemas import ACCOUNT_SID, Events, Shape, Strict
from app.calls.event import Event

NUMBER = r"^[^\s@:<>\"\\%]{1,255}$"

Url = Annotated[
    str, Field(description="absolute http or https URL; user information is sent as Basic auth", max_length=4000)
]
Method = Annotated[Literal["GET", "POST"], Field(description="in any case; null means POST")]


class NumberChanges(Strict):
    """What is to change. What is left out stays as it is; null takes it away, or brings its default back."""

    url: Url | None = Field(None, description="serves the RCML of a call for this number")
    method: Method | None = None
    fallback_url: Url | None = Field(None, description="asked once when url cannot be fetched or its RCML is not valid")
    fallback_method: Method | None = None
    status_callback: Url | None = Field(None, description="of the inbound calls")
    status_callback_method: Method | None = None
    status_callback_event: Events | None = Field(None, description="null means all four")
    friendly_name: str | None = Field(None, max_length=255)


class NewNumber(NumberChanges):
    """A number, and what answers it."""

    number: str = Field(
        description="the user part of our SIP address that callers dial, unescaped; compared exactly",
        pattern=NUMBER,
        examples=["+4930123456"],
    )
    url: Url = Field(description="serves the RCML of a call for this number")


class Number(Shape):
    """A number as it is stored; user information in URLs is masked."""

    number: str
    account_sid: Annotated[str, Field(pattern=ACCOUNT_SID)]
    url: str
    method: Literal["GET", "POST"]
    fallback_url: str | None
    fallback_method: Literal["GET", "POST"]
    status_callback: str | None
    status_callback_method: Literal["GET", "POST"] | None
    status_callback_event: list[Event] | None
    friendly_name: str | None
    created_at: AwareDatetime
    updated_at: AwareDatetime
    uri: str


class NumberPage(Shape):
    """Newest first."""

    numbers: list[Number]
    next_page_uri: str | None
