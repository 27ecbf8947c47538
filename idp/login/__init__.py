"""Sign-in: what is still missing, and the authenticators that supply it.

Owns: the sign-in transaction (kept on the server under an opaque handle, tied to one browser), one module an
authenticator, the choice between the account signed in and another one, the lock-out table, and `dispatch.py`, the only
place that decides the next step. A step never routes to another: it returns to the dispatcher with a signed proof of what
was shown.

Refuses: a step out of order, a proof made for another transaction, a transaction carried to another browser, telling an
unknown name from a wrong password, a list of who signed in on this computer before, a second factor enrolled by someone who
has proved nothing.

An authorization request and a first-party sign-in take the same way; what happens at the end is passed in from outside,
so this package knows nothing of OAuth.
"""
