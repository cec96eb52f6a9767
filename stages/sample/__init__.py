"""The generated catalogue: synthetic products in the layout of the real data, without a download.

Titles, descriptions and photos are put together from word lists and shapes; no seller wrote them
and nobody took them. They are as hard as the real ones: see plan.py for what decides that.
"""

from stages.sample.catalogue import write_catalogue

__all__ = ["write_catalogue"]
