"""Settings: the environment, files of secrets, and what is out of bounds."""

from pathlib import Path

import pytest

from api.settings import PREFIX, Settings, SettingsError
from tests.api.service import SECRET

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_SECRET", SECRET)


def test_lists_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TRUSTED_PROXIES", "10.0.0.0/8, 127.0.0.1")
    monkeypatch.setenv("API_PREVIOUS_SECRETS", f"{SECRET}1,{SECRET}2")
    read = Settings.load()
    assert read.trusted_proxies == ("10.0.0.0/8", "127.0.0.1/32")
    previous = [secret.get_secret_value() for secret in read.previous_secrets]
    assert previous == [f"{SECRET}1", f"{SECRET}2"]


def test_a_secret_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x" * 40 + "\n")
    monkeypatch.delenv("API_SECRET")
    monkeypatch.setenv("API_SECRET_FILE", str(tmp_path / "secret"))
    assert Settings.load().secret.get_secret_value() == "x" * 40


def test_a_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_DATABASE_URL_FILE", "/nowhere/url")
    with pytest.raises(SettingsError, match="API_DATABASE_URL_FILE: /nowhere/url can't be read"):
        Settings.load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_SECRET", "é" * 15),
        ("API_PREVIOUS_SECRETS", f"{SECRET},short"),
        ("API_THREADS", "0"),
        ("API_TRUSTED_PROXIES", "everyone"),
        ("API_SQLITE_SYNCHRONOUS", "OFF"),
    ],
)
def test_what_is_out_of_bounds_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"^{name}: ") as told:
        Settings.load()
    assert SECRET not in str(told.value)


def test_no_representation_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PREVIOUS_SECRETS", SECRET)
    assert SECRET not in repr(Settings.load()) + str(Settings.load().model_dump())


def test_empty_variables_are_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_QUEUE_SIZE", "")
    monkeypatch.setenv("API_LOG_DIR", "none")
    read = Settings.load()
    assert (read.queue_size, read.log_dir) == (64, None)


def test_the_example_lists_every_setting_with_its_default() -> None:
    """`.env.example` can't fall behind; a line with no value leaves the default."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    pairs = (line.split("=", 1) for line in lines if line.startswith(PREFIX))
    listed = {name.removeprefix(PREFIX).lower(): value for name, value in pairs}
    assert listed.keys() == Settings.model_fields.keys()
    default = Settings.load()
    for name, value in listed.items():
        if value:
            assert getattr(Settings.load(**{name: value}), name) == getattr(default, name), name
