"""Pages that span rooms: the front page, a person's home, the public log, the audit trail, help and the legal texts.

Each module has `routes(deps)`. A page that belongs to one room lives with that room (`credentials/pages`, `idp/pages`);
here stands only what needs more than one of them. Nothing is decided here: who may see what is `idp.authority`'s word,
what is proved is `ledger`'s.
"""
