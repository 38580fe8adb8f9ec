"""What a newcomer runs first: the whole product, a callee and a receiver of its own, and one call shown live."""
