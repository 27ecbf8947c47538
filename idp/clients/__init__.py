"""Clients: the platforms that may ask, exactly as they were registered.

Owns: what a registration says and when it is refused, the exact redirect URIs, client secrets (as hashes) and keys, who a
client is that calls an endpoint by itself, the sector it belongs to, which algorithm its ID tokens are signed with. A
registration is parsed once into a frozen `Client`; nothing later asks the raw document.

Refuses: wildcard or prefix redirect URIs, script schemes, plain http except for a loopback address, public clients
without PKCE, two ways of client authentication, clients whose redirect hosts differ and that name no sector.
"""
