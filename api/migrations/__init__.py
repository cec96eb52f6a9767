"""Alembic's migrations of the service's database, run by the service itself when it starts."""

HEAD = "0001"
"""The newest revision, written here so that a database at it is served without loading Alembic."""
