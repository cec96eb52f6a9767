"""What must agree with what: conf with params.yaml, dvc.yaml with the code it runs."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest
import yaml

from stages.compose import compose
from stages.params import load

ROOT = Path(__file__).parents[2]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
DATA = ("data/", "models/", "metrics/")
# How a stage is run, shown and reported; none of it can change what a stage writes, and a reworded
# log line must not download 2.6 GB again.
PLUMBING = {
    "api/errors.py",
    "stages/logs.py",
    "stages/params.py",
    "stages/progress.py",
    "stages/tracking.py",
}


def module_of(stage: str) -> str:
    return STAGES[stage]["cmd"].split()[2]


def names(items: list) -> list[str]:
    return [item if isinstance(item, str) else next(iter(item)) for item in items]


def imports(file: Path) -> set[Path]:
    """Files of this repository that a file imports, directly."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        else:
            continue
        for module in modules:
            path = ROOT / Path(*module.split("."))
            candidates = [path.with_suffix(".py"), path / "__init__.py"]
            found |= {candidate for candidate in candidates if candidate.is_file()}
    return {path for path in found if path.stat().st_size and path.name != "__init__.py"} | {
        path for path in found if path.name == "__init__.py" and path.parent.parent != ROOT
    }


def closure(file: Path) -> set[str]:
    """A file and all of the repository's files it imports, however far."""
    done: set[Path] = set()
    waiting = {file}
    while waiting:
        current = waiting.pop()
        done.add(current)
        waiting |= imports(current) - done
    return {str(path.relative_to(ROOT)) for path in done}


def test_params_yaml_is_what_conf_composes(tmp_path: Path) -> None:
    compose(tmp_path / "params.yaml", [], ROOT / "conf")
    assert (tmp_path / "params.yaml").read_text() == (ROOT / "params.yaml").read_text()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_code_it_imports(stage: str) -> None:
    """Neither a file too few (stale results) nor one too many (runs for nothing)."""
    file = ROOT / Path(*module_of(stage).split(".")).with_suffix(".py")
    declared = {dep for dep in names(STAGES[stage]["deps"]) if dep.startswith(("api/", "stages/"))}
    needed = closure(file) - PLUMBING
    covered = {dep: {n for n in needed if n == dep or n.startswith(f"{dep}/")} for dep in declared}
    assert set().union(*covered.values()) == needed
    assert [dep for dep, modules in covered.items() if not modules] == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_the_sections_its_model_reads(stage: str) -> None:
    params = importlib.import_module(module_of(stage)).Params
    assert sorted(STAGES[stage]["params"]) == sorted(params.model_fields)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_given_the_paths_it_declares(stage: str) -> None:
    """Inputs, then outputs; as many as `main` takes."""
    declared = STAGES[stage]
    arguments = declared["cmd"].split()[3:]
    main = importlib.import_module(module_of(stage)).main
    assert len(arguments) == len(inspect.signature(main).parameters)
    deps = [dep for dep in names(declared["deps"]) if dep.startswith(DATA)]
    produced = [
        name for key in ("outs", "metrics", "plots") for name in names(declared.get(key, []))
    ]
    inputs = arguments[: len(deps)]
    assert sorted(inputs) == sorted(deps)
    outputs = arguments[len(deps) :]
    assert all(any(out.startswith(given) for given in outputs) for out in produced)
    assert all(any(out.startswith(given) for out in produced) for given in outputs)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_says_what_it_does(stage: str) -> None:
    assert len(STAGES[stage]["desc"]) > 40


def test_every_section_of_params_yaml_is_read_by_one_stage_or_the_gate() -> None:
    read = [section for stage in STAGES.values() for section in stage["params"]]
    every = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert sorted([*read, "promotion"]) == sorted(every)


def groups() -> list[str]:
    folders = [folder for folder in (ROOT / "conf").iterdir() if folder.is_dir()]
    return sorted(
        f"{folder.name}={file.stem}" for folder in folders for file in folder.glob("*.yaml")
    )


@pytest.mark.parametrize("choice", groups())
def test_every_group_composes_into_parameters_the_stages_accept(
    choice: str, tmp_path: Path
) -> None:
    prefix = "+" if choice.startswith("experiment=") else ""
    places = {"data=folder": ["data.path=folder"], "data=s3": ["data.url=s3://bucket/prefix"]}
    overrides = [prefix + choice, *places.get(choice, [])]
    compose(tmp_path / "params.yaml", overrides, ROOT / "conf")
    for stage in STAGES:
        assert load(importlib.import_module(module_of(stage)).Params, tmp_path / "params.yaml")


def test_the_service_never_imports_the_pipeline() -> None:
    for file in (ROOT / "api").rglob("*.py"):
        assert not [path for path in closure(file) if path.startswith("stages/")], file
