"""The log simulated: the real sequencer, store and SQL over SQLite files, under faults that one seed decides.

No thread, no clock and no chance but the seed's: `python -m tests.ledger.simulation SEED [STEPS]` runs a failure again.
"""
