"""The token endpoint: a code or a refresh token becomes tokens, exactly once.

Owns: client authentication, the two grants, access tokens (opaque, or RFC 9068), refresh rotation with reuse detection.
Authlib's framework-free core orders the checks of RFC 6749 and RFC 7636; everything it reads is fetched before it runs and
everything it makes is written once after it, by atomic verbs of the store (docs/decisions/0003-authlib-core.md).

Refuses: the password and implicit grants, two ways of client authentication in one request, a token of an account,
client, session or family that is not in force at this moment.

Place kept for later: a further grant is one more module with a grant class, listed in `core.py`.
"""
