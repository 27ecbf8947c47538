"""HTTP around the rooms' own endpoints: what every request passes before one of them sees it, and every answer after.

Owns: the stack of `stack.py` (correlation, headers, host, proxies, limits, preferences, form tokens, the actor), the
one mapping of errors to answers (`errors.py`), the rate limiter, and the only outbound HTTP client (`outbound.py`).

Refuses: decisions about people or credentials, a second way out to the network, an answer that shows a stack trace, and
trust in any header a client can write.
"""
