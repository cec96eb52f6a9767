"""The Dockerfile as a text: linted, pinned, and in step with the service."""

import re
import subprocess

from tests.api.service import ROOT
from tests.deploy.monitoring_stack import program

DOCKERFILE = ROOT / "Dockerfile"
TEXT = DOCKERFILE.read_text()


def test_hadolint_has_nothing_to_say() -> None:
    done = subprocess.run(
        [program("hadolint"), DOCKERFILE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_service_is_the_default_and_every_image_starts_from_the_pinned_base() -> None:
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", TEXT, re.MULTILINE)
    assert stages[-1] == ("${PYTHON_IMAGE}", "api")
    names = {name for _, name in stages}
    assert {base for base, _ in stages} - names == {"${PYTHON_IMAGE}"}


def test_everything_is_installed_by_hash() -> None:
    installs = [line for line in TEXT.splitlines() if "pip install" in line]
    assert installs
    assert all("--require-hashes" in line for line in installs)


def test_no_image_runs_as_root() -> None:
    for image in re.split(r"^FROM ", TEXT, flags=re.MULTILINE)[1:]:
        if "\nCMD" in image:
            assert re.search(r"^USER 10001:0$", image, re.MULTILINE), image.splitlines()[0]
            assert "HEALTHCHECK" in image


def test_what_goes_into_an_image_is_named() -> None:
    """A file that nobody thought of, such as .env, data or keys, stays out."""
    first, *allowed = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert first == "*"
    assert not [line for line in allowed if re.search(r"data|secrets|\.env|\.git$|state", line)]
