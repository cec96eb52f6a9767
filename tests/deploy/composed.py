"""Services of compose.yaml as options of podman, with other hosts in place of its network's."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.api.service import ROOT

SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "compose.yaml").read_text())[
    "services"
]
DEFAULT = re.compile(r"\$\{\w+:-([^}]*)\}")


def options(name: str, secrets: Path, hosts: Mapping[str, str]) -> list[str]:
    """What `podman run` is told before the image."""
    service = SERVICES[name]
    found = ["--read-only"] if service["read_only"] else []
    found += [f"--tmpfs={path}" for path in service["tmpfs"]]
    found += [f"--cap-drop={capability}" for capability in service["cap_drop"]]
    found += [f"--security-opt={option.partition(':')[0]}" for option in service["security_opt"]]
    found += [f"--volume={secrets / one}:/run/secrets/{one}:ro" for one in service["secrets"]]
    for variable, value in service["environment"].items():
        default = DEFAULT.sub(r"\1", value)
        found.append(f"--env={variable}={_with_hosts(default, hosts)}")
    return found


def command(name: str) -> list[str]:
    """What the container runs, if it isn't what the image says."""
    return list(SERVICES[name].get("command", []))


def rewrite(secrets: Path, hosts: Mapping[str, str]) -> None:
    """Secrets hold names of hosts too."""
    for path in secrets.iterdir():
        path.chmod(0o644)
        path.write_text(_with_hosts(path.read_text(), hosts))


def _with_hosts(text: str, hosts: Mapping[str, str]) -> str:
    for host, place in hosts.items():
        text = text.replace(host, place)
    return text
