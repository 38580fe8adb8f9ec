"""Fixtures that every test can use."""

from tests.kit.postgres import database, database_url, empty_database_url, postgres_url, sealer

__all__ = ["database", "database_url", "empty_database_url", "postgres_url", "sealer"]
