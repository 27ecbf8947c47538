"""Diplomas, credit records and copyright registrations: issued, held, shared and verified.

This package owns the one path by which every kind of record comes into being (`issuance.py`: draft, submit, approval by
a different person, intent, signature, log, receipt), the formats a record travels in (`formats/`, `bundle.py`), what is
said about it afterwards (`status.py`), who may say it (`accreditation.py`), what its holder shows of it (`wallet.py`,
`sharing.py`), and the pure judgement of all that (`verification.py`). A kind is a schema and its rules and nothing more.

It refuses to issue on one person's word, to put an ID number or anything derived from one into a record, to show more of
a record than its holder chose, and to call valid what it could not check: a status or a trust anchor that is not to be
had makes the verdict unknown. Of `idp` it knows only who someone is and what they may do. It has no database, network,
clock or randomness of its own: those are handed in through `ports.py` and `store.py`.
"""
