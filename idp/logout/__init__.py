"""Signing out, here and at every platform of the session.

Owns: RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0), logout tokens, their delivery over the back channel from
an outbox with leases, retries and a dead-letter state.

Refuses: a post-logout address that is not registered to the letter, an altered hint, ending a session without the
person's word unless the hint names exactly this session (logout CSRF).

Place kept for later: front-channel logout is one more answer to an ended session.
"""
