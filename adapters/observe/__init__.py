"""Seeing what the service does, without seeing whom it does it for.

Owns: the structured log (`log.py`), and taking over what libraries would log by themselves.

Refuses: query strings, bodies, cookies, headers, whole addresses and exception texts.
What people did is the audit trail's business, in `ledger/audit.py`.
"""
