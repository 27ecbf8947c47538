"""The token endpoint: a code or a refresh token becomes tokens, exactly once.

Owns: the three grants, access tokens (opaque, or RFC 9068), refresh rotation with reuse detection, revocation (RFC 7009),
introspection (RFC 7662). Who the client is, `idp.clients.authentication` says.
Authlib's framework-free core orders the checks of RFC 6749 and RFC 7636; everything it reads is fetched before it runs and
everything it makes is written once after it, by atomic verbs of the store (docs/decisions/0003-authlib-core.md).

Refuses: the password and implicit grants, a token of an account, client, session or family that is not in force at this
moment; to say of a token anything to a client that it was not issued to.

Place kept for later: a further grant is one more module with a grant class, listed in `core.py`.
"""
