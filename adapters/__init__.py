"""Everything outside: the web server, databases, files, chains, settings, clocks and randomness.

Owns: turning Protocols of the inner packages into real things (SQL stores, the outbound HTTP client, the ledger's
thread), the composition root that calls constructors once, and the mapping of errors to what people and programs see.

Refuses: decisions. Who may do what, whether a proof holds and what a credential says are decided in the packages
below; nothing below imports from here, and nothing here is reached except through an argument.
"""
