"""`python -m stages.report BASE OUTPUT`: what the working tree does to the model of BASE.

Writes report.md and its pictures, and report.html, which holds all of it, into OUTPUT. It reports
and never refuses: exit code 0 whatever the verdict (the promotion gate is another program).
"""

import argparse
import sys
from pathlib import Path

from api.errors import ProductCodeError
from stages.report import html, page
from stages.report.revision import Revision, base_of
from stages.report.verdict import Verdict

ROOT = Path()


def main(base: str, output: Path) -> Verdict:
    """Compares the working tree with where its branch left `base`."""
    before = base_of(ROOT, base)
    _clear(output)
    verdict = page.write(page.Report(before, Revision(ROOT), output))
    html.write(output)
    return verdict


def _clear(output: Path) -> None:
    """Removes what an earlier report left, and nothing else."""
    for pattern in ("report.md", "report.html", "*.png", "product-*.jpg"):
        for old in output.glob(pattern):
            old.unlink()


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m stages.report", description=__doc__)
    parser.add_argument("base", help="branch or commit to compare with, such as origin/main")
    parser.add_argument("output", type=Path, help="folder for report.md, its pictures, report.html")
    arguments = parser.parse_args()
    try:
        print(f"{main(arguments.base, arguments.output)}\n{arguments.output / 'report.md'}")
    except ProductCodeError as error:
        sys.exit(f"ERROR   {error}")
