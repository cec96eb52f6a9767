"""README against what it speaks of: figures, targets, groups."""

import re
from pathlib import Path

import yaml

from stages.figures import COMPARED, compared, crossvalidated, tables

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def test_it_opens_with_the_two_commands() -> None:
    commands = [line for line in README.splitlines()[:5] if line.startswith("make ")]
    assert [command.split()[1] for command in commands] == ["repro", "test"]


def test_its_table_is_the_committed_runs() -> None:
    assert compared(tables(ROOT / COMPARED)) in README


def test_its_table_of_folds_is_the_committed_cross_validation() -> None:
    runs = [tables(path) for path in (ROOT / "metrics/crossval").glob("*/metrics.json")]
    runs.sort(key=lambda found: (found["synthetic"], found["rows"]))
    kinds = [f"{'SYNTHETIC' if found['synthetic'] else 'real'} products" for found in runs]
    names = [f"{found['rows']:,} {kind}" for found, kind in zip(runs, kinds, strict=True)]
    assert crossvalidated(dict(zip(names, runs, strict=True))) in README


def test_every_make_target_it_names_exists() -> None:
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))
    assert named <= set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))


def test_every_target_says_what_it_does() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    described = set(re.findall(r"^([a-z-]+):.*## \S", MAKEFILE, re.MULTILINE))
    assert phony is not None
    assert set(phony[1].split()) == described


def test_it_lists_every_choice_of_every_group() -> None:
    for folder in (ROOT / "conf").iterdir():
        if folder.is_dir() and folder.name != "training":
            for file in folder.glob("*.yaml"):
                assert f"`{file.stem}`" in README, file


def test_its_stages_are_those_of_dvc_yaml() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert re.findall(r"^\| ([a-z]+) \| `(?:data|models|metrics)/", README, re.MULTILINE) == [
        *stages
    ]
