"""Fixtures that every test can use."""

import os
import signal

from hypothesis import settings

from tests.kit.postgres import database, database_url, empty_database_url, postgres_url, sealer

__all__ = ["database", "database_url", "empty_database_url", "postgres_url", "sealer"]

# A shell starts background jobs with SIGINT ignored, and every process that a test starts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long one example takes says more about the machine than about the code. In CI the examples are always the same, so
# that it says no more about a change than about its luck; everywhere else they are new ones each time.
settings.register_profile("house", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("house")
