"""The locks: complete, hashed, in step, and silent about where packages come from."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "requirements"
LOCKS = ("uv", "pipeline", "api", "dev", "tracking", "audit")
PIN = re.compile(r"^([a-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)", re.MULTILINE | re.IGNORECASE)


def pins(name: str) -> dict[str, str]:
    return {package.lower(): v for package, v in PIN.findall((FOLDER / f"{name}.txt").read_text())}


def wanted(name: str) -> set[str]:
    """Packages that an .in file asks for, those of files it includes among them."""
    packages: set[str] = set()
    for line in (FOLDER / f"{name}.in").read_text().splitlines():
        asked = line.partition("#")[0].strip()
        if asked.startswith("-r "):
            packages |= wanted(asked[3:].removesuffix(".in"))
        elif asked:
            packages.add(re.split(r"[\[<>=!~; ]", asked)[0].lower())
    return packages


@pytest.mark.parametrize("name", LOCKS)
def test_every_wanted_package_is_pinned(name: str) -> None:
    assert wanted(name) <= set(pins(name))


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_has_a_hash(name: str) -> None:
    text = (FOLDER / f"{name}.txt").read_text()
    blocks = re.split(r"\n(?=[a-z0-9])", text, flags=re.IGNORECASE)
    assert [block for block in blocks if PIN.match(block) and "--hash=sha256:" not in block] == []


@pytest.mark.parametrize("name", LOCKS)
def test_no_lock_names_a_host(name: str) -> None:
    assert not re.search(
        r"https?://|--(extra-)?index-url|--find-links", (FOLDER / f"{name}.txt").read_text()
    )


def test_locks_agree_on_versions() -> None:
    everything = pins("dev")
    for name in ("pipeline", "api", "tracking"):
        assert pins(name).items() <= everything.items()


def test_the_service_needs_neither_tensorflow_nor_dvc_nor_pandas() -> None:
    refused = {"tensorflow", "tensorflow-cpu", "keras", "dvc", "pandas", "mlflow", "scikit-learn"}
    assert not refused & set(pins("api"))
