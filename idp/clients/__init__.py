"""Clients: the platforms that may ask, exactly as they were registered.

Owns: what a registration says and when it is refused, the exact redirect URIs, client secrets (as hashes), the sector a
client belongs to, which algorithm its ID tokens are signed with. A registration is parsed once into a frozen `Client`;
nothing later asks the raw document.

Refuses: wildcard or prefix redirect URIs, script schemes, plain http except for a loopback address, public clients
without PKCE, clients whose redirect hosts differ and that name no sector.
"""
