"""Seeing what the service does, without seeing whom it does it for.

Owns: the structured log (`log.py`) and the counters operators read (`metrics.py`).

Refuses: query strings, bodies, cookies, headers, whole addresses, exception texts, and any label a caller can choose.
What people did is the audit trail's business, in `ledger/audit.py`.
"""
