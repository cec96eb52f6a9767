"""Kept while modules move to api.labels."""

from api.labels import NAMES, Label, ordered, read, write

__all__ = ["NAMES", "Label", "ordered", "read", "write"]
