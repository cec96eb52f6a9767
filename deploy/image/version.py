"""Prints the version of the bundle that an image is to hold: `python -m deploy.image.version`."""

import sys
from pathlib import Path

from api import bundle
from api.bundle_format import META


def main() -> int:
    """The version that dvc.lock holds for the bundle; 1 if there is no bundle."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "models/bundle")
    if not (path / META).is_file():
        print(f"ERROR: {path} is no bundle: run `dvc pull models/bundle`", file=sys.stderr)
        return 1
    print(bundle.version(path))
    return 0


if __name__ == "__main__":
    sys.exit(main())
