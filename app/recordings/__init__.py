"""Recordings from the first sample to the last byte deleted: the row, the file, the links. Records nothing itself."""
