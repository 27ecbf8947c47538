"""The append-only log: bytes in, proof out.

This package owns the twin Merkle trees (SM3 decides, SHA-256 for the world), their 256-wide tiles, the signed checkpoint
note, the one sequencer, receipts that verify offline, the anchoring of checkpoints on chains, the hash-chained audit
trail and the check that re-derives everything (`fsck`).

It refuses to know what an entry means or whom it concerns: a leaf is bytes, and whoever writes one keeps personal data
out of it by a salted commitment. It refuses to sign a tree it has not re-read and recomputed, a checkpoint older than
the last one, and a second history beside the first. It has no database, chain, clock or randomness of its own: those
are handed in.
"""
