"""Forgets predictions, and the feedback on them, that are older than the setting allows."""

import asyncio
import logging

from api.store import Store, StoreError

EVERY = 3600.0
"""Seconds between two looks."""
LOGGER = logging.getLogger("api.retention")


async def forget(store: Store, days: float, every: float = EVERY) -> None:
    """Deletes what is too old, now and then, until it is cancelled.

    Several workers may do so: each finds what the others left. A database that is out of reach
    is asked again at the next look.
    """
    while True:
        try:
            deleted = await asyncio.to_thread(store.delete_older_than, days)
        except StoreError as error:
            LOGGER.warning("nothing was deleted: %s", error)
        else:
            if deleted:
                LOGGER.info("deleted %d predictions older than %g days", deleted, days)
        await asyncio.sleep(every)
