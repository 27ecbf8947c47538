"""Signing out, here and at every platform of the session.

Owns: RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0), logout tokens, their delivery over the back channel from
an outbox with leases, retries and a dead-letter state, and the page whose frames tell platforms through the browser
(Front-Channel Logout 1.0).

Refuses: a post-logout address that is not registered to the letter, an altered hint, ending a session without the
person's word unless the hint names exactly this session (logout CSRF).
"""
