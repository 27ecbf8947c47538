"""Clients: the platforms that may ask, exactly as they were registered.

Owns: what a registration says and when it is refused, the exact redirect URIs, client secrets (as hashes) and keys, who a
client is that calls an endpoint by itself, the sector it belongs to, which algorithm its ID tokens are signed with; and how
platforms register and change themselves (`/register`), by which policy and under which names. A registration is parsed once
into a frozen `Client`; nothing later asks the raw document.

Refuses: wildcard or prefix redirect URIs, script schemes, plain http except for a loopback address, public clients
without PKCE, two ways of client authentication, clients whose redirect hosts differ and that name no sector; registration
without a token of the operator, privileges a platform gives itself, names that could be taken for another's. It fetches
nothing itself: the outside passes in its one guarded client.
"""
