"""For the developer of a platform: a client to try things with, and what its requests met.

Owned here: sandbox clients (made, changed, renewed and ended by the developer whom the operator allowed), the notes on their
last requests, and a sign-in run by the developer's own browser with every step laid open. Refused here: more than a few clients
a developer, addresses that are neither https nor loopback, scopes beyond the trial ones, a sign-in of anybody but the owner
(`idp.login.dispatch` enforces that), and writing down any state, nonce, code, token or secret. Clients of the operator are not
watched and cost nothing here.
"""
