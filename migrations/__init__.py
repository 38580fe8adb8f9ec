"""The schema's history. Expand first, contract later; each step sets a lock timeout; PostgreSQL 14 functions only."""
