"""Cryptography of the house: SM2, SM3 and SM4, their interoperable twins, and the strict encodings under them.

This package owns: SM2 with its three backends (`sm2`) and the C kernel behind the first (`kernel`), SM3 one by one
(`sm3`), SM3 and SHA-256 many at once (`hash_batch`), which algorithm may serve which purpose (`suites`), keys and
what makes one unfit (`jwk`, `keys`, `encryption_keys`), signatures, MACs and encryption over JOSE (`jws`, `mac`,
`jwe`), key files (`der`, `pem`, `key_files`), SM2 certificates of others (`sm2_certificates`),
sealed columns and blind indexes (`sealed`), passwords and one-time passwords, the canonical and strict encodings
everything signed is read through (`encoding`, `canonical`), the states a key passes through (`keystore`), shares of a
secret (`shamir`), and the known-answer tests that run before the service answers anyone (`selftest`).

It refuses: input and output of any kind, a clock, settings (the kernel alone reads one variable, EDUTRUST_CPU, when it
loads), and randomness of its own (what is random is handed in; the signing library's generator alone serves nonces and
new keys); an algorithm its purpose does not name; a key that is weak, off its curve, or of another kind; bytes that are
not the one encoding of what they mean. A check raises and returns what it has checked; nothing here answers True or
False to "is it valid?", but for the rows of a batch.

The software key holder is not a certified cryptographic product (GM/T 0028); a certified module takes its place
behind the same types.
"""
