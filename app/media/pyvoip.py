"""The one door to pyVoIP for media: the names that are relied on, and no others. Knows nothing of what is made of them.

tests/unit/media/test_media_pyvoip.py holds one contract test per attribute used, so that an upgrade fails loudly.
"""

import pyVoIP  # first: its modules import each other in a circle that only opens from here
from pyVoIP.RTP import PayloadType, RTPClient, RTPParseError, TransmitType

VERSION: str = pyVoIP.__version__

__all__ = ["VERSION", "PayloadType", "RTPClient", "RTPParseError", "TransmitType"]
