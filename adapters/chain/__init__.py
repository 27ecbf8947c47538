"""Where checkpoints are anchored: a write-once file beside a local witness key, or a contract on an EVM chain.

Owns the drivers behind `ledger.anchor.AnchorDriver` and the anchor contract. Refuses to trust a node's word for more than
it can check: roots are compared with the event's, and evidence is signed only at the depth asked for.
"""
