"""Claims dial requests and keeps the lease on them; what a dial is, `dialing` knows."""
