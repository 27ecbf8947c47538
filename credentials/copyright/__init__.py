"""Registration of the copyright in a teaching resource, by the SM3 digest of its file.

It records who claims which work under which licence, and when that was logged. It refuses to register the same bytes a
second time and names the earlier registration instead; it never keeps the file.
"""
