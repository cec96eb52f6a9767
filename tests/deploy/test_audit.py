"""What the audit tells of pip-audit's findings."""

import sys
from pathlib import Path

import pytest

from deploy import audit

CLEAN = {"name": "numpy", "version": "2.4.6", "vulns": []}
UNKNOWN = {"name": "wrapt", "skip_reason": "Dependency not found on PyPI"}
FLAWED = {
    "name": "python-jose",
    "version": "3.3.0",
    "vulns": [{"id": "CVE-2024-33663", "fix_versions": ["3.4.0"]}],
}


def test_a_vulnerability_is_told_with_its_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.report("api.txt", [CLEAN, FLAWED]) == 1
    told = capsys.readouterr().out
    assert "2 of 2 packages audited, 1 vulnerabilities" in told
    assert "python-jose 3.3.0: CVE-2024-33663, fixed in 3.4.0" in told


def test_what_was_not_asked_is_not_called_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.report("api.txt", [CLEAN, UNKNOWN]) == 0
    told = capsys.readouterr().out
    assert "1 of 2 packages audited" in told
    assert "NOT audited" in told


def test_an_audit_that_fails_is_an_error(tmp_path: Path) -> None:
    program = tmp_path / "pip-audit"
    program.write_text(f"#!{sys.executable}\nimport sys; sys.exit('no such file')\n")
    program.chmod(0o755)
    with pytest.raises(SystemExit, match="could not be audited: no such file"):
        audit.audited(str(program), "nowhere.txt")
