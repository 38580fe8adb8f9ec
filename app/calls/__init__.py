"""The domain core: what a call is, what may become of it and what the parts that move it must offer. No I/O."""
