"""The store, on real SQLite files and a real PostgreSQL server, also when they fail."""

import signal
import sqlite3
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from api import migrations, sqlite_file
from api import store as store_module
from api.migrations.upgrade import configuration
from api.store import (
    Counts,
    DuplicateError,
    FeedbackRecord,
    PredictionRecord,
    Store,
    StoreError,
    UnknownPredictionError,
)
from api.tables import Base
from tests.api import servers

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
MADE = PredictionRecord(
    request_id="r1",
    user="bob",
    predicted=10,
    confidence=0.75,
    model_version="0123.dir",
    product_id=2**62,
    imageid=7,
    product_identifier="P-7",
    designation="Livre d'été",
    description="<b>occasion</b>",
    has_image=True,
    top=[(10, 0.75), (40, 0.25)],
    variant="challenger",
    created=NOON,
)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[servers.PostgreSQL]:
    with servers.postgresql() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state/service.db"
    server: servers.PostgreSQL = request.getfixturevalue("postgresql")
    return server.new_database(uuid.uuid4().hex)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store(url, patience=1)
    opened.open()
    yield opened
    opened.close()


def made(number: int, created: datetime = NOON) -> PredictionRecord:
    return replace(MADE, request_id=f"r{number}", created=created)


def test_a_prediction_comes_back_as_it_went_in(store: Store) -> None:
    store.add_prediction(MADE)
    assert store.prediction("r1") == MADE
    assert store.prediction("r2") is None


def test_what_may_be_missing_may_be_missing(store: Store) -> None:
    bare = PredictionRecord("r1", "bob", 10, 0.5, "v", top=[])
    store.add_prediction(bare)
    assert store.prediction("r1") == bare
    assert bare.variant == "champion"


@pytest.mark.parametrize("title", ["a\x00b", "a\ud800b", "\udc80"])
def test_text_that_no_database_holds_is_kept_with_a_mark(store: Store, title: str) -> None:
    store.add_prediction(replace(MADE, designation=title))
    kept = store.prediction("r1")
    assert kept is not None
    assert "\ufffd" in kept.designation
    assert len(kept.designation) == len(title)


def test_text_beyond_the_basic_plane_is_kept(store: Store) -> None:
    store.add_prediction(replace(MADE, designation="🎮 日本語"))
    assert store.prediction("r1") == replace(MADE, designation="🎮 日本語")


def test_text_is_never_sql(store: Store) -> None:
    title = "'); DROP TABLE predictions; --"
    store.add_prediction(replace(MADE, designation=title))
    assert store.prediction("r1") == replace(MADE, designation=title)
    assert store.prediction("' OR '1'='1") is None


def test_a_request_id_is_used_once(store: Store) -> None:
    store.add_prediction(MADE)
    with pytest.raises(DuplicateError, match="'r1'"):
        store.add_prediction(replace(MADE, user="eve"))
    assert store.prediction("r1") == MADE


def test_a_batch_is_kept_whole_or_not_at_all(store: Store) -> None:
    store.add_predictions([made(1), made(2)])
    with pytest.raises(DuplicateError):
        store.add_predictions([made(3), made(2)])
    store.add_predictions([])
    assert store.counts() == Counts(predictions=2, feedback=0)


def test_a_window_is_read_in_order_and_over_pages(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many at one moment too: pages go by time, then id."""
    monkeypatch.setattr(store_module, "PAGE", 4)
    moments = [NOON + timedelta(seconds=number // 6) for number in range(25)]
    store.add_predictions([made(number, moment) for number, moment in enumerate(moments)])
    read = list(store.predictions(NOON, NOON + timedelta(seconds=3)))
    assert {record.request_id for record in read} == {f"r{number}" for number in range(18)}
    assert read == sorted(read, key=lambda record: (record.created, record.request_id))


def test_a_window_may_be_of_another_time_zone(store: Store) -> None:
    store.add_prediction(MADE)
    paris = datetime.fromisoformat("2026-05-04T14:00:00+02:00")
    assert [record.created for record in store.predictions(paris, paris + timedelta(1))] == [NOON]
    assert list(store.predictions(paris - timedelta(1), paris)) == []


def test_reading_a_window_does_not_hold_up_writers(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "PAGE", 1)
    store.add_predictions([made(1), made(2)])
    window = store.predictions(NOON, NOON + timedelta(1))
    next(window)
    store.add_prediction(made(3))
    assert len(list(window)) == 2


def test_feedback_comes_back(store: Store) -> None:
    store.add_prediction(MADE)
    given = FeedbackRecord("r1", "eve", 40, "un jeu", NOON)
    store.add_feedback(given)
    assert list(store.feedback(NOON, NOON + timedelta(1))) == [given]


def test_later_feedback_of_a_user_replaces_the_earlier(store: Store) -> None:
    store.add_prediction(MADE)
    store.add_feedback(FeedbackRecord("r1", "eve", 40))
    store.add_feedback(FeedbackRecord("r1", "bob", 50))
    store.add_feedback(FeedbackRecord("r1", "eve", 60, created=NOON))
    assert store.counts().feedback == 2
    assert [kept.code for kept in store.feedback(NOON, NOON + timedelta(1))] == [60]


def test_feedback_needs_a_prediction(store: Store) -> None:
    with pytest.raises(UnknownPredictionError, match="'r9'"):
        store.add_feedback(FeedbackRecord("r9", "eve", 40))


def test_what_is_too_old_goes_with_its_feedback(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "PAGE", 3)
    now = datetime.now(UTC)
    store.add_predictions([made(number, now - timedelta(days=40)) for number in range(7)])
    store.add_prediction(made(7, now - timedelta(days=20)))
    store.add_feedback(FeedbackRecord("r0", "eve", 40))
    store.add_feedback(FeedbackRecord("r7", "eve", 40))
    assert store.delete_older_than(30) == 7
    assert store.counts() == Counts(predictions=1, feedback=1)
    assert store.delete_older_than(30) == 0


def test_threads_share_a_store(store: Store) -> None:
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda number: store.add_prediction(made(number)), range(100)))
    assert store.counts().predictions == 100


OPENING = """
import sys
from api.migrations import upgrade
from api.store import PredictionRecord, Store
store = Store(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
store.open()
store.add_prediction(PredictionRecord(sys.argv[2], "bob", 10, 0.5, "v"))
"""


def test_workers_open_a_new_database_together(url: str) -> None:
    with ExitStack() as stack:
        workers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", OPENING, url, f"r{number}"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            )
            for number in range(4)
        ]
        for worker in workers:
            assert worker.stdout
            assert worker.stdout.readline() == b"ready\n"
        for worker in workers:
            assert worker.stdin
            worker.stdin.write(b"go\n")
            worker.stdin.flush()
    assert [worker.returncode for worker in workers] == [0] * 4
    store = _opened(url)
    assert store.counts().predictions == 4
    store.close()


def _opened(url: str) -> Store:
    opened = Store(url)
    opened.open()
    return opened


def test_the_tables_are_what_the_migrations_make(store: Store) -> None:
    with store.database.reading("compare") as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_newest_revision_is_named() -> None:
    """A database at HEAD is served without loading Alembic."""
    assert ScriptDirectory.from_config(configuration()).get_current_head() == migrations.HEAD


def test_migrations_go_down_and_up_again(store: Store) -> None:
    with store.database.writing("down") as connection:
        command.downgrade(configuration(connection), "base")
    store.open()
    store.add_prediction(MADE)


def test_a_migration_that_fails_leaves_nothing(url: str) -> None:
    store = Store(url)
    if store.database.dialect == "sqlite":
        sqlite_file.prepare(Path(str(store.database.url.database)), 1)
    with store.database.writing("prepare") as connection:
        connection.execute(text("CREATE TABLE feedback (a INTEGER)"))
    with pytest.raises(StoreError, match="already exists"):
        store.open()
    with store.database.reading("look") as connection:
        assert inspect(connection).get_table_names() == ["feedback"]
    with store.database.writing("repair") as connection:
        connection.execute(text("DROP TABLE feedback"))
    store.open()
    store.add_prediction(MADE)
    store.close()


def test_a_database_of_a_newer_version_is_refused(store: Store) -> None:
    with store.database.writing("prepare") as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer version"):
        store.open()


KILLED = """
import sys, itertools
from api.store import PredictionRecord, Store
store = Store(sys.argv[1])
store.open()
for number in itertools.count():
    store.add_prediction(PredictionRecord(f"r{number}", "bob", 10, 0.5, "v"))
    print(number, flush=True)
"""


def test_what_is_acknowledged_survives_sigkill(url: str) -> None:
    program = [sys.executable, "-c", KILLED, url]
    with subprocess.Popen(program, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for _ in range(50):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        acknowledged = 50 + len(writer.stdout.read().splitlines())
    store = _opened(url)
    assert acknowledged <= store.counts().predictions <= acknowledged + 1
    assert store.prediction(f"r{acknowledged - 1}") is not None
    store.close()


def test_a_server_that_is_gone_is_an_error_until_it_is_back() -> None:
    with servers.postgresql() as server:
        store = Store(server.url(), patience=1)
        store.open()
        store.add_prediction(made(1))
        server.stop()
        for failing in (store.check, store.open, lambda: store.add_prediction(made(2))):
            with pytest.raises(StoreError, match="check that the database is up"):
                failing()
        server.start()
        store.add_prediction(made(2))
        assert store.counts().predictions == 2
        store.close()


def test_a_locked_server_is_an_error_not_a_wait(postgresql: servers.PostgreSQL) -> None:
    store = Store(postgresql.new_database("locked"), patience=0.5)
    store.open()
    with psycopg.connect(postgresql.url("locked")) as other:
        other.execute("LOCK TABLE predictions IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreError, match="timeout"):
            store.add_prediction(MADE)
    store.add_prediction(MADE)
    store.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "service.db"


@pytest.fixture
def lite(file: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{file}", patience=0.3)
    opened.open()
    yield opened
    opened.close()


def test_a_locked_file_is_an_error_but_can_be_read(file: Path, lite: Store) -> None:
    lite.add_prediction(made(1))
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            lite.add_prediction(made(2))
        assert lite.prediction("r1") == made(1)
        other.execute("ROLLBACK")
    lite.add_prediction(made(2))


FULL = """
import resource, sys
from api.store import PredictionRecord, Store, StoreError
store = Store(sys.argv[1])
store.open()
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
acknowledged = 0
try:
    while True:
        record = PredictionRecord(f"r{acknowledged}", "bob", 10, 0.5, "v", description="x" * 2000)
        store.add_prediction(record)
        acknowledged += 1
except StoreError as error:
    assert store.counts().predictions == acknowledged, "it can't be read"
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    store.add_prediction(record)
    print(acknowledged + 1, str(error), sep="\\n")
"""


def test_a_full_disk_is_an_error_until_there_is_room(file: Path) -> None:
    """As a file that can't grow: what was acknowledged is there, and it goes on afterwards."""
    ended = subprocess.run(
        [sys.executable, "-c", FULL, f"sqlite:///{file}"],
        capture_output=True,
        text=True,
        check=True,
    )
    acknowledged, error = ended.stdout.splitlines()
    assert int(acknowledged) > 10
    assert "has room" in error
    store = _opened(f"sqlite:///{file}")
    assert store.counts().predictions == int(acknowledged)
    store.close()


def test_a_writer_does_not_wait_forever_for_another_thread(lite: Store) -> None:
    holding, release = threading.Event(), threading.Event()

    def hold() -> None:
        with lite.database.writing("hold"):
            holding.set()
            release.wait(10)

    with ThreadPoolExecutor(1) as threads:
        held = threads.submit(hold)
        holding.wait(10)
        with pytest.raises(StoreError, match="locked"):
            lite.add_prediction(MADE)
        release.set()
        held.result()


def test_the_file_is_durable_and_its_owners_alone(file: Path, lite: Store) -> None:
    """Hashes of passwords are in it."""
    lite.add_prediction(MADE)
    assert {path.stat().st_mode & 0o777 for path in file.parent.iterdir()} == {0o600}
    with lite.database.reading("pragmas") as connection:
        pragmas = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert pragmas == ["wal", 2, 1]


def test_syncing_may_be_left_to_the_operating_system(file: Path) -> None:
    store = Store(f"sqlite:///{file}", synchronous="NORMAL")
    store.open()
    with store.database.reading("pragma") as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1
    store.close()


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, and long enough to show it" * 50)
    with pytest.raises(StoreError, match="not a database"):
        Store(f"sqlite:///{tmp_path}/notes.txt").open()


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="API_DATABASE_URL"):
        Store(f"sqlite:///{tmp_path}/file/service.db").open()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("nonsense", "no URL"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("mysql://root@localhost/x", "mysql"),
    ],
)
def test_another_kind_of_database_is_refused(url: str, told: str) -> None:
    with pytest.raises(StoreError, match=told):
        Store(url)


def test_an_error_and_its_cause_hold_nothing_of_the_request(lite: Store) -> None:
    """Causes end in logs."""
    with lite.database.writing("break") as connection:
        connection.execute(text("DROP TABLE predictions"))
    with pytest.raises(StoreError, match="no such table") as caught:
        lite.add_prediction(replace(MADE, designation="private"))
    assert "private" not in f"{caught.value} {caught.value.__cause__}"


def test_errors_hold_no_password_and_no_content() -> None:
    port = servers.free_port()
    store = Store(f"postgresql://bob:hunter2@127.0.0.1:{port}/x", patience=1)
    with pytest.raises(StoreError) as caught:
        store.add_prediction(replace(MADE, designation="private"))
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "private" not in str(caught.value)
    with pytest.raises(StoreError, match="no URL") as caught:
        Store("postgresql://bob:hunter2@host:port/x")
    assert "hunter2" not in str(caught.value)
