"""A free loopback port."""

import socket


def free_port() -> int:
    """Return a port nobody listens on now. Another process may take it before the caller does; callers then fail."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
