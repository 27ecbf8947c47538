"""Real services for the tests, each started lazily on a free port and stopped at the end of the session."""
