"""Asks for known vulnerabilities of a lock: `python -m deploy.audit PIP_AUDIT LOCK...`.

As pip-audit does, but a package that the advisories could not be asked about isn't passed over: it
is counted, so that nobody takes "not asked" for "none known".
"""

import json
import subprocess
import sys
from typing import Any

Dependency = dict[str, Any]


def audited(pip_audit: str, lock: str) -> list[Dependency]:
    """What pip-audit found for each package of a lock."""
    command = [pip_audit, "--disable-pip", "--require-hashes", "--format=json", "-r", lock]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # make names it
    try:
        found: list[Dependency] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        sys.exit(f"ERROR: {lock} could not be audited: {done.stderr.strip()[-2000:]}")
    return found


def report(lock: str, found: list[Dependency]) -> int:
    """Prints it; returns the number of vulnerabilities."""
    asked = [one for one in found if "skip_reason" not in one]
    flaws = [(one, flaw) for one in asked for flaw in one["vulns"]]
    print(f"{lock}: {len(asked)} of {len(found)} packages audited, {len(flaws)} vulnerabilities")
    if len(asked) < len(found):
        print("  the advisories can't be reached from here for the others: they are NOT audited")
    for one, flaw in flaws:
        fixed = ", ".join(flaw["fix_versions"]) or "none yet"
        print(f"  {one['name']} {one['version']}: {flaw['id']}, fixed in {fixed}")
    return len(flaws)


def main() -> int:
    """1 if a vulnerability is known."""
    pip_audit, *locks = sys.argv[1:]
    return int(sum(report(lock, audited(pip_audit, lock)) for lock in locks) > 0)


if __name__ == "__main__":
    sys.exit(main())
