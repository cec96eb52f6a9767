"""The environment of the served image: its lock, the code of the service, and nothing else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.api.service import ROOT

MB = 1e6


class Environment:
    """A folder that holds a virtual environment and the package api."""

    def __init__(self, folder: Path) -> None:
        """Installed as the image has it: from the hash lock, without what the lock leaves out."""
        self.folder = folder
        self.code = folder / "code"
        self.venv = folder / "venv"
        self.python = self.venv / "bin" / "python"
        uv = [str(Path(sys.executable).with_name("uv")), "--quiet"]
        subprocess.run([*uv, "venv", "--python", sys.executable, str(self.venv)], check=True)
        install = ["pip", "install", "--python", str(self.python), "--no-deps", "--require-hashes"]
        subprocess.run([*uv, *install, "-r", ROOT / "requirements" / "api.txt"], check=True)
        folder.mkdir(parents=True, exist_ok=True)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "api", self.code / "api", ignore=ignored)
        self.run("-m", "api.preload")

    @property
    def variables(self) -> dict[str, str]:
        """Those of processes in it; bytecode that is missing is written, and so shows."""
        return {"PYTHONPATH": str(self.code), "PYTHONDONTWRITEBYTECODE": ""}

    def run(self, *arguments: str) -> str:
        """What its Python prints."""
        done = subprocess.run(
            [self.python, *arguments],
            cwd=self.folder,
            env=os.environ | self.variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def files(self) -> dict[str, int]:
        """Bytes of each file that is installed, bytecode included."""
        found = (path for path in self.venv.rglob("*") if path.is_file() and not path.is_symlink())
        return {str(path.relative_to(self.venv)): path.stat().st_size for path in found}

    def bytecode(self) -> set[Path]:
        """Every file of bytecode, of the service's own modules too."""
        return set(self.folder.rglob("*.pyc"))

    def megabytes(self) -> dict[str, float]:
        """Megabytes by top-level package, largest first."""
        sizes: dict[str, float] = {}
        for name, size in self.files().items():
            package = name.partition("site-packages/")[2].partition("/")[0] or "the interpreter"
            sizes[package] = sizes.get(package, 0) + size / MB
        return dict(sorted(sizes.items(), key=lambda item: -item[1]))
