"""HTTP in: checks what customers ask, answers in their notation and refuses to know how a call is made."""
