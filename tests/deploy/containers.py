"""Images really built by buildah, and really run by podman and runc, in a store of their own."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

BASE = "python:3.11-slim"
PROGRAMS = ("buildah", "podman", "runc", "mmdebstrap")
SUITE = "bookworm"
"""Debian's release whose python3 is 3.11, as in the image of that name."""
CERTIFICATES = Path("/etc/ssl/certs")
LIMITS = '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'


class Store:
    """Where images and containers are kept; deleted after the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._options = ["--root", f"{folder}/root", "--runroot", f"{folder}/run"]
        self._options += ["--storage-driver", "overlay"]
        (folder / "containers.conf").write_text(LIMITS)
        (folder / "uv.toml").write_text("native-tls = true\n")

    def buildah(self, *arguments: str) -> str:
        """What it prints."""
        return self._run("buildah", *self._options, *arguments)

    def podman(self, *arguments: str, given: str | None = None) -> str:
        """What it prints; `given` is what it reads."""
        runtime = ["--runtime", "runc", "--cgroup-manager", "cgroupfs"]
        return self._run("podman", *self._options, *runtime, *arguments, given=given)

    def make_base(self) -> None:
        """Debian's Python under the official image's name, as no registry of images is at hand."""
        archive = self.folder / "base.tar"
        include = "--include=python3,python3-venv,ca-certificates"
        options = [
            "--mode=root",
            "--variant=minbase",
            include,
            '--aptopt=Acquire::Languages "none"',
        ]
        self._run("mmdebstrap", "--quiet", *options, SUITE, str(archive))
        self.buildah("from", "--name", "base", "scratch")
        self.buildah("add", "base", str(archive), "/")
        link = ("ln", "-s", "/usr/bin/python3.11", "/usr/local/bin/python")
        self.buildah("run", "--isolation", "chroot", "base", "--", *link)
        self.buildah("commit", "--quiet", "--rm", "base", BASE)
        archive.unlink()

    def build(self, context: Path, target: str, tag: str, arguments: Mapping[str, str]) -> None:
        """Builds a target of the Dockerfile, with this machine's certificates to install by."""
        given = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        mounts = [f"--volume={CERTIFICATES}:{CERTIFICATES}:ro"]
        mounts += [f"--volume={self.folder}/uv.toml:/etc/uv/uv.toml:ro"]
        if Path("/etc/pip.conf").is_file():
            mounts += ["--volume=/etc/pip.conf:/etc/pip.conf:ro"]
        options = ["--isolation", "chroot", "--format", "docker", "--target", target, "--tag", tag]
        self.buildah("bud", *options, *given, *mounts, str(context))

    def inspect(self, image: str) -> dict[str, object]:
        """What the image says of itself."""
        found: list[dict[str, object]] = json.loads(self.podman("image", "inspect", image))
        return found[0]

    def bytes(self, image: str) -> int:
        """Of all its layers, unpacked."""
        return int(str(self.inspect(image)["Size"]))

    def _run(self, *command: str, given: str | None = None) -> str:
        environment = os.environ | {"CONTAINERS_CONF": f"{self.folder}/containers.conf"}
        done = subprocess.run(
            command, env=environment, input=given, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ContainerError(
                f"{' '.join(command)}: {done.stderr[-3000:] or done.stdout[-3000:]}"
            )
        return done.stdout


class ContainerError(Exception):
    """A program that failed, and what it said."""


@contextmanager
def store() -> Iterator[Store]:
    """A store that holds the base; skips, and says why, where containers can't be run."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"containers need root and {', '.join(PROGRAMS)}; missing: {missing}")
    folder = Path(tempfile.mkdtemp(prefix="containers-", dir="/var/tmp"))
    made = Store(folder)
    try:
        try:
            made.make_base()
            made.podman("run", "--rm", "--no-healthcheck", "--network", "none", BASE, "true")
        except ContainerError as error:
            pytest.skip(f"this machine can't run containers: {error}")
        yield made
    finally:
        made.podman("rm", "--all", "--force", "--volumes")
        made.podman("rmi", "--all", "--force")
        subprocess.run(["umount", folder / "root" / "overlay"], capture_output=True, check=False)
        shutil.rmtree(folder)
