"""What every process needs before it knows what a call is: settings, clock, event loop, log, metrics."""
