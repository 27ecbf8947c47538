"""Run by Alembic for every room: the connection and the room's version table come from `adapters/sql/migrate.py`."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table=context.config.attributes["version_table"],
    # Both databases roll a table back, so a room is upgraded whole or not at all.
    transactional_ddl=True,
)
context.run_migrations()
