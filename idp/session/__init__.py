"""Sessions: one sign-in in one browser.

Owns: the cookie (opaque, 256 bits, kept as a hash only), idle and absolute limits, the fresh cookie at every
authentication, who the actor of a request is, ending one session or several.

Refuses: a session made before authentication, a cookie that is not exactly of our form (it counts as no session, never
as an error to be passed through), a session of an account that is not active.
"""
