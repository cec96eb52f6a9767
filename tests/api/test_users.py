"""Accounts, and the command that manages them."""

import io
import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from api.accounts import AccountError, Accounts
from api.database import Database
from api.passwords import PasswordError, verify_password
from api.store_errors import DuplicateError
from api.users import main

PASSWORD = "correct horse battery"
OTHER = "another long password"


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path}/service.db"
    monkeypatch.setenv("API_DATABASE_URL", url)
    return url


@pytest.fixture
def users(url: str) -> Accounts:
    database = Database(url)
    database.open()
    return Accounts(database, rounds=4)


def run(
    monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str], given: str = PASSWORD + "\n"
) -> int:
    """The command, with a password on its standard input."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(given))
    return main(arguments, rounds=4)


def test_an_account_is_added_with_the_password_of_the_standard_input(
    monkeypatch: pytest.MonkeyPatch, users: Accounts
) -> None:
    assert run(monkeypatch, ["add", "bob"]) == 0
    added = users.get("bob")
    assert added is not None
    assert verify_password(PASSWORD, added.password_hash)
    assert (added.scopes, added.disabled) == ({"predict", "feedback"}, False)


def test_scopes_are_chosen(monkeypatch: pytest.MonkeyPatch, users: Accounts) -> None:
    run(monkeypatch, ["add", "root", "--scopes", "admin", "predict"])
    added = users.get("root")
    assert added is not None
    assert added.scopes == {"admin", "predict"}


@pytest.mark.parametrize("given", ["short\n", "", "\n", "x" * 73 + "\n"])
def test_a_password_that_breaks_a_rule_makes_no_account(
    monkeypatch: pytest.MonkeyPatch, users: Accounts, capsys: pytest.CaptureFixture[str], given: str
) -> None:
    assert run(monkeypatch, ["add", "bob"], given) == 1
    assert "the password" in capsys.readouterr().err
    assert users.all() == []


@pytest.mark.parametrize("name", ["", "Bob", "-x", "a b", "a\nb", "é", "x" * 65, "../x", "a\x00"])
def test_a_name_that_could_mislead_is_refused(users: Accounts, name: str) -> None:
    with pytest.raises(AccountError, match="user name"):
        users.add(name, PASSWORD, ["predict"])


def test_a_name_is_given_once(monkeypatch: pytest.MonkeyPatch, users: Accounts) -> None:
    run(monkeypatch, ["add", "bob"])
    with pytest.raises(DuplicateError, match="'bob'"):
        users.add("bob", OTHER, ["admin"])
    assert run(monkeypatch, ["add", "bob"], OTHER + "\n") == 1
    kept = users.get("bob")
    assert kept is not None
    assert verify_password(PASSWORD, kept.password_hash)


@pytest.mark.parametrize("scopes", [[], ["root"], ["predict", "everything"]])
def test_only_known_scopes_are_given(users: Accounts, scopes: list[str]) -> None:
    with pytest.raises(AccountError, match="predict, feedback, admin"):
        users.add("bob", PASSWORD, scopes)


def test_a_password_is_changed(monkeypatch: pytest.MonkeyPatch, users: Accounts) -> None:
    users.add("bob", PASSWORD, ["predict"])
    assert run(monkeypatch, ["passwd", "bob"], OTHER + "\n") == 0
    changed = users.get("bob")
    assert changed is not None
    assert verify_password(OTHER, changed.password_hash)
    assert changed.version == 2


def test_an_account_is_disabled_and_enabled(
    monkeypatch: pytest.MonkeyPatch, users: Accounts
) -> None:
    users.add("bob", PASSWORD, ["predict"])
    states = []
    for command in ("disable", "enable"):
        assert run(monkeypatch, [command, "bob"]) == 0
        found = users.get("bob")
        assert found is not None
        states.append((found.disabled, found.version))
    assert states == [(True, 2), (False, 3)]


@pytest.mark.parametrize("command", ["disable", "enable", "passwd"])
@pytest.mark.usefixtures("url")
def test_an_account_that_is_not_there_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert run(monkeypatch, [command, "nobody"]) == 1
    assert "no user 'nobody'" in capsys.readouterr().err


def test_the_list_shows_no_hash(
    monkeypatch: pytest.MonkeyPatch, users: Accounts, capsys: pytest.CaptureFixture[str]
) -> None:
    users.add("eve", PASSWORD, ["predict"])
    users.add("bob", PASSWORD, ["admin", "predict"])
    users.disable("eve")
    assert run(monkeypatch, ["list"]) == 0
    assert capsys.readouterr().out == "bob\tenabled\tadmin,predict\neve\tdisabled\tpredict\n"


def test_no_option_takes_a_password(capsys: pytest.CaptureFixture[str]) -> None:
    """On the command line, everyone on the machine could read it."""
    for command in ("add", "passwd"):
        with pytest.raises(SystemExit):
            main([command, "bob", PASSWORD])
        assert "unrecognized arguments" in capsys.readouterr().err


def test_a_database_that_cannot_be_used_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("API_DATABASE_URL", "mysql://localhost/x")
    assert main(["list"]) == 1
    assert "mysql" in capsys.readouterr().err


def test_other_settings_do_not_matter_and_the_secret_is_not_needed(
    monkeypatch: pytest.MonkeyPatch, users: Accounts, tmp_path: Path
) -> None:
    """The database may be named in a file, as secrets are."""
    users.add("bob", PASSWORD, ["predict"])
    (tmp_path / "url").write_text(f"sqlite:///{tmp_path}/service.db\n")
    monkeypatch.delenv("API_DATABASE_URL")
    monkeypatch.setenv("API_DATABASE_URL_FILE", str(tmp_path / "url"))
    monkeypatch.delenv("API_SECRET", raising=False)
    assert main(["disable", "bob"]) == 0
    disabled = users.get("bob")
    assert disabled is not None
    assert disabled.disabled


def typed(url: str, *lines: str) -> tuple[int, str]:
    """`add bob` in a terminal where somebody types; its status, and what the screen shows."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "api.users", "add", "bob"],
        env=os.environ | {"API_DATABASE_URL": url},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        shown = b""
        for prompt, line in zip((b"Password: ", b"Again: "), lines, strict=True):
            while not shown.endswith(prompt):
                shown += os.read(ours, 1000)
            os.write(ours, line.encode() + b"\n")
        while piece := _read(ours):
            shown += piece
    os.close(ours)
    return process.returncode, shown.decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1000)
    except OSError:  # the other end closed
        return b""


def test_on_a_terminal_the_password_is_asked_for_twice_and_not_shown(
    url: str, users: Accounts
) -> None:
    status, shown = typed(url, PASSWORD, PASSWORD)
    assert status == 0, shown
    assert PASSWORD not in shown
    added = users.get("bob")
    assert added is not None
    assert verify_password(PASSWORD, added.password_hash)


def test_two_different_passwords_change_nothing(url: str, users: Accounts) -> None:
    status, shown = typed(url, PASSWORD, OTHER)
    assert (status, "differ" in shown) == (1, True)
    assert users.get("bob") is None


def test_a_rule_broken_later_changes_nothing(users: Accounts) -> None:
    users.add("bob", PASSWORD, ["predict"])
    with pytest.raises(PasswordError):
        users.set_password("bob", "short")
    kept = users.get("bob")
    assert kept is not None
    assert (kept.version, verify_password(PASSWORD, kept.password_hash)) == (1, True)
