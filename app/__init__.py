"""Dial-to-SIP: one HTTP request places a SIP call, and every event of that call reaches the customer's webhook."""
