"""Deletes what installed packages bring and a running service never reads: `python prune.py VENV`.

Their tests, type stubs and headers, the tools of ONNX Runtime, and its library for C programs: the
Python module holds all of it a second time.
"""

import shutil
import sys
from pathlib import Path

UNUSED = (
    "*/tests",
    "*/*/tests",
    "*/testing",
    "**/*.pyi",
    "**/*.pxd",
    "numpy/_core/include",
    "numpy/_core/lib",
    "numpy/distutils",
    "numpy/f2py",
    "onnxruntime/capi/libonnxruntime.so*",
    "onnxruntime/datasets",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/transformers",
)
"""Below site-packages."""
KEPT = ("numpy/testing", "onnxruntime/transformers/__init__.py")


def prune(venv: Path) -> int:
    """Deletes it; returns the bytes.

    Raises:
        FileNotFoundError: The folder holds no environment.
    """
    sites = [*venv.glob("lib/python3.*/site-packages")]
    if len(sites) != 1:
        raise FileNotFoundError(f"{venv} holds no Python environment: name the folder of a venv")
    found = {path for pattern in UNUSED for path in sites[0].glob(pattern)}
    return sum(_delete(path) for path in found)


def _delete(path: Path) -> int:
    """Its bytes; none if the folder that held it went before it."""
    files = [path] if path.is_file() else [part for part in path.rglob("*") if part.is_file()]
    size = sum(file.stat().st_size for file in files)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    return size


if __name__ == "__main__":
    print(f"{prune(Path(sys.argv[1])) / 1e6:.1f} MB deleted")
