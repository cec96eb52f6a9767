"""Run by Alembic for every command: on the connection, and in the transaction, of its caller."""

from alembic import context

from api.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite can't alter a column: Alembic then makes the table anew.
    render_as_batch=True,
)
context.run_migrations()
