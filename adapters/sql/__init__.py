"""SQL: one small async interface over SQLite and PostgreSQL, the stores written against it, and their migrations.

Owns: connections, transactions, placeholders, the mapping of driver errors to ours, the tables of each room
(`migrations/<room>/versions`) and the SQL stores that implement the Protocols of `idp`, `credentials` and `ledger`.

Refuses: an ORM, lazily loaded anything, SQL outside this folder, and a store method that is more than one transaction.
"""
