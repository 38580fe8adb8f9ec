"""The use cases of a call, one verb a file; SIP and media are reached through `app.calls.ports` only."""
