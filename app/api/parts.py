"""What the web application is made of: the use cases and reads that wiring hands to it."""

from dataclasses import dataclass

from app.calls.address import AddressPolicy
from app.dialing.hangup import HangUp
from app.dialing.place import Place
from app.dialing.replace import Replace
from app.recordings.links import Links
from app.recordings.storage import Shelves
from app.runtime.settings import Settings
from app.store.accounts import Accounts
from app.store.calls import CallReads
from app.store.database import Database
from app.store.deliveries import Deliveries
from app.store.numbers import Numbers
from app.store.queue import DialQueue
from app.store.recordings import RecordingRows
from app.store.trace import TraceStore


@dataclass(frozen=True, slots=True)
class ApiParts:
    settings: Settings
    database: Database
    place: Place
    hang_up: HangUp
    replace: Replace
    calls: CallReads
    queue: DialQueue
    deliveries: Deliveries
    trace: TraceStore
    numbers: Numbers
    recordings: RecordingRows
    shelves: Shelves
    links: Links
    accounts: Accounts
    sip_policy: AddressPolicy
    http_policy: AddressPolicy
