"""Answering scrapes: what is asked of the stores then, and how everything counted is written out.

Owns: the questions to stores, log and chains (`probes.py`) and the one page of figures (`exposition.py`), on an address
of its own.

Refuses: the public address; questions whose cost grows with what is stored; waiting for a store that does not answer; a
figure that nobody can vouch for now.
"""
