"""Measurements: each prints true numbers of this machine and decides nothing. README.md says how to read them."""
