"""Cryptography of the house: SM2, SM3 and SM4, their interoperable twins, and the strict encodings under them.

This package owns: which algorithm may serve which purpose (`suites`), keys and what makes one unfit (`keys`),
signatures over JOSE (`jws`), sealed columns and blind indexes (`sealed`), passwords and one-time passwords, the
canonical and strict encodings everything signed is read through (`encoding`, `canonical`), the states a key passes
through (`keystore`), and the known-answer tests that run before the service answers anyone (`selftest`).

It refuses: input and output of any kind, a clock, settings, and randomness of its own (what is random is handed in;
the signing library's generator alone serves nonces and new keys); an algorithm its purpose does not name; a key that
is weak, off its curve, or of another kind; bytes that are not the one encoding of what they mean. A check raises and
returns what it has checked; nothing here answers True or False to "is it valid?".

The software key holder is not a certified cryptographic product (GM/T 0028); a certified module takes its place
behind the same types.
"""
