"""Identity: who a person is, what they may do, and how a platform is told so.

Owns the registry of schools and people, the offices of the five levels, sign-in, and the OpenID Provider. It refuses to
know what a certificate says: that is the floor above. It refuses to touch a database, a network, a clock or a source of
randomness: those are handed in by the roof.

Calls inside go one way: `registry` imports no sibling; `authority` imports `registry`; everything about sign-in and
tokens imports both and is imported by neither.
"""
