"""The authorization endpoint: from a request in a browser to a code, or to a refusal in the right place.

Owns: the frozen `AuthorizationRequest`, the ordered checks (client and redirect URI first; nothing redirects before both
are proven), prompt, max_age, acr_values and claims, resource indicators (RFC 8707), pushed requests (RFC 9126) as another way
to the same frozen request, the response by query or by form with `iss` (RFC 9207), the authorization code.

Refuses: implicit and hybrid flows, `plain` challenges, request objects, a repeated parameter other than `resource`, an issuer
taken from the Host header. The sign-in itself belongs to `idp.login`; this package begins one and finishes it.

Place kept for later: signed requests (RFC 9101) become a third way to obtain the same frozen request.
"""
