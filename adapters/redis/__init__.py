"""Redis: short-lived state kept in memory beside the SQL database.

Owns: the bounded connections to one Redis server, `idp.transient.TransientStore` on it (handles that begin with `r`), and
the pair of it with the SQL store, which takes over while Redis is away.

Refuses: to be the truth of anything. What may be lost with a server lives here; tokens, sessions, the record that a code
was used, replay ids and limits stand in SQL. So an empty, restarted or evicting Redis costs somebody a second try and
never lets anything happen twice. A handle, a password of a URL and an address are never in a key, a log or an error.
"""
