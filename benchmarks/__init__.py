"""What the product costs on the machine at hand: each benchmark prints one JSON object and runs in bounded time.

Owns: measuring real parts (the composition root's own stores, keys, pages and ledger on SQLite in a temporary folder)
through the calls that a request or the worker makes, and, where there is a peer, the peer in alternating slices of the
same run, so that a busy machine slows both.

Refuses: stand-ins for parts, figures kept from another run or machine, and thresholds: a figure is read by a person who
knows the machine. Passwords are left out on purpose; their cost is a security parameter and no achievement.
"""
