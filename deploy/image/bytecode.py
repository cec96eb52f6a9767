"""Makes bytecode good for good: `python bytecode.py FOLDER`, that of PYTHONPYCACHEPREFIX.

By default it holds its source's time of change, which a layer of an image rounds: a third of the
modules would then be compiled again at every start, on a disk that can't keep the result. Here it
is marked as valid whatever that time is, as nothing in an image ever changes.
"""

import importlib.util
import py_compile
import sys
from pathlib import Path

UNCHECKED = py_compile.PycInvalidationMode.UNCHECKED_HASH


def settle(folder: Path) -> int:
    """Compiles again what is compiled, and nothing else; returns how many files."""
    compiled = [*folder.rglob("*.pyc")]
    for path in compiled:
        source = importlib.util.source_from_cache(str(path))
        py_compile.compile(source, cfile=str(path), doraise=True, invalidation_mode=UNCHECKED)
    return len(compiled)


if __name__ == "__main__":
    print(f"{settle(Path(sys.argv[1]))} modules compiled")
