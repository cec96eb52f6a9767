"""Old predictions go by themselves, and a database that is out of reach is asked again."""

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.records import PredictionRecord
from api.retention import forget
from api.store import Store


def run(store: Store, seconds: float) -> None:
    async def for_a_while() -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(forget(store, days=30, every=0.05), seconds)

    asyncio.run(for_a_while())


def test_only_what_is_too_old_goes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "api.retention")
    store = Store(f"sqlite:///{tmp_path}/service.db")
    store.open()
    caplog.clear()
    for name, days in (("old", 31), ("new", 29)):
        created = datetime.now(UTC) - timedelta(days=days)
        store.add_prediction(PredictionRecord(name, "bob", 10, 0.5, "v", created=created))
    run(store, 0.5)
    assert store.prediction("old") is None
    assert store.prediction("new") is not None
    assert caplog.messages == ["deleted 1 predictions older than 30 days"]
    store.close()


def test_it_goes_on_after_an_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "service.db").mkdir()
    run(Store(f"sqlite:///{tmp_path}/service.db"), 0.5)
    assert len(caplog.messages) > 1
    assert "nothing was deleted" in caplog.text
