"""Text to plan: reads and writes RCML and JSON dial requests. Pure: no I/O."""
