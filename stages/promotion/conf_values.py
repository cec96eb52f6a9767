"""Writes parameters back into conf/, so that it composes into a given params.yaml.

A group whose choice changed gets the other choice in conf/config.yaml; a value that changed is
written where it stands, in the group's file or in conf/config.yaml. Comments stay.
"""

import tempfile
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML

from api.errors import ProductCodeError
from stages.compose import compose

CONFIG = "config.yaml"
Values = dict[str, Any]


class ConfError(ProductCodeError):
    """Parameters that conf/ can't be made to compose into."""


def write(conf: Path, wanted: Mapping[str, Any]) -> list[str]:
    """Changes the files of `conf` so that they compose into `wanted`.

    Args:
        conf: A folder of groups, in which files are changed.
        wanted: The content of a params.yaml.

    Returns:
        What was changed, for people.

    Raises:
        ConfError: It can't be done; files may have been changed all the same.
    """
    have = composed(conf)
    if {*have} != {*wanted}:
        raise ConfError(
            f"sections {sorted({*have} ^ {*wanted})} are in only one of conf/ and the parameters: "
            "add or remove them in conf/ by hand"
        )
    changed: list[str] = []
    for section in wanted:
        if have[section] != wanted[section]:
            changed += _section(conf, section, have[section], wanted[section])
    left = [name for name, value in composed(conf).items() if value != wanted[name]]
    if left:
        raise ConfError(f"conf/ still composes into another {', '.join(left)}: change it by hand")
    return changed


def composed(conf: Path, *overrides: str) -> Values:
    """What conf/ composes into."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "params.yaml"
        compose(output, list(overrides), conf)
        content: Values = yaml.safe_load(output.read_text(encoding="utf-8"))
    return content


def _section(conf: Path, section: str, have: Any, wanted: Any) -> list[str]:
    """Makes one section compose as wanted."""
    group = conf / section
    if not group.is_dir():
        return _values(conf / CONFIG, (section,), have, wanted)
    changed = _choice(conf, section, wanted)
    have = composed(conf)[section] if changed else have
    if have == wanted:
        return changed
    file = group / f"{chosen(conf, section)}.yaml"
    return changed + _values(file, (), have, wanted, section)


def _choice(conf: Path, group: str, wanted: Any) -> list[str]:
    """Chooses the option that is nearest; the present one where it is as near."""
    present = chosen(conf, group)
    distances = {}
    for file in sorted((conf / group).glob("*.yaml")):
        have = leaves(yaml.safe_load(file.read_text(encoding="utf-8")))
        if have.keys() == leaves(wanted).keys():
            differing = sum(have[key] != value for key, value in leaves(wanted).items())
            distances[file.stem] = (differing, file.stem != present)
    if not distances:
        raise ConfError(
            f"no file of conf/{group} has the keys {sorted(map('.'.join, leaves(wanted)))}: add "
            "one by hand"
        )
    best = min(distances, key=lambda name: distances[name])
    if best == present:
        return []
    _edit(conf / CONFIG, lambda document: _choose(document, group, best))
    return [f"conf/{CONFIG}: {group}: {present} -> {best}"]


def chosen(conf: Path, group: str) -> str:
    """The option of a group in the defaults list.

    Raises:
        ConfError: The group isn't in it.
    """
    defaults = yaml.safe_load((conf / CONFIG).read_text(encoding="utf-8"))["defaults"]
    for entry in defaults:
        if isinstance(entry, dict) and group in entry:
            return str(entry[group])
    raise ConfError(f"conf/{CONFIG} has no `{group}` in its defaults: add it by hand")


def _choose(document: Any, group: str, option: str) -> None:
    for entry in document["defaults"]:
        if isinstance(entry, dict) and group in entry:
            entry[group] = option


def _values(
    file: Path, inside: tuple[str, ...], have: Any, wanted: Any, section: str = ""
) -> list[str]:
    """Writes the leaves that differ into a file, below the keys `inside`."""
    before, after = leaves(have), leaves(wanted)
    if before.keys() != after.keys():
        names = sorted(".".join(key) for key in before.keys() ^ after.keys())
        raise ConfError(f"{file.name}: {names} were added or removed: do that by hand")
    differing = {key: value for key, value in after.items() if before[key] != value}

    def put(document: Any) -> None:
        for key, value in differing.items():
            _put(document, (*inside, *key), value, file)

    _edit(file, put)
    name = f"conf/{section}/{file.name}" if section else f"conf/{file.name}"
    return [
        f"{name}: {'.'.join((*inside, *key))}: {before[key]} -> {value}"
        for key, value in differing.items()
    ]


def _put(document: Any, key: tuple[str, ...], value: Any, file: Path) -> None:
    """Replaces a value that the file has."""
    holder = document
    for part in key[:-1]:
        holder = holder.get(part) if isinstance(holder, dict) else None
    if not isinstance(holder, dict) or key[-1] not in holder:
        raise ConfError(
            f"{file.name} has no {'.'.join(key)}, another file sets it: change it by hand"
        )
    if "${" in str(holder[key[-1]]):
        raise ConfError(
            f"{file.name} has {key[-1]}: {holder[key[-1]]}, not a value: change it by hand"
        )
    old = holder[key[-1]]
    if isinstance(old, list) and isinstance(value, list):
        old[:] = value  # keeps the list's form, and what is written beside it
    else:
        holder[key[-1]] = value


def _edit(file: Path, change: Any) -> None:
    """Changes a file and keeps its comments and its form."""
    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 10_000
    editor.indent(mapping=2, sequence=4, offset=2)
    document = editor.load(file.read_text(encoding="utf-8"))
    change(document)
    text = StringIO()
    editor.dump(document, text)
    file.write_text(text.getvalue(), encoding="utf-8")


def leaves(values: Any) -> dict[tuple[str, ...], Any]:
    """Values by the keys that lead to them; a list is a value."""
    return dict(_leaves(values, ()))


def _leaves(values: Any, inside: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(values, dict) and values:
        for key, value in values.items():
            yield from _leaves(value, (*inside, str(key)))
    else:
        yield inside, values
