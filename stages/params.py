"""params.yaml, read one stage at a time into frozen, typed models."""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from api.errors import ProductCodeError

PARAMS_FILE = Path("params.yaml")


class ParamsError(ProductCodeError):
    """params.yaml lacks a section, or a value in it is not allowed."""


class Frozen(BaseModel):
    """A section of params.yaml: immutable, and closed to keys it doesn't know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Params = TypeVar("Params", bound=Frozen)


def load(model: type[Params], path: Path = PARAMS_FILE) -> Params:
    """The sections of params.yaml that `model` has a field for, and no others.

    A stage declares in dvc.yaml just the sections its model names (a test compares the two), so
    it can't read a parameter that DVC doesn't know it depends on.

    Raises:
        ParamsError: The file or a section is missing, or a value is refused.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ParamsError(f"{path} not found: run stages from the project's root") from error
    except yaml.YAMLError as error:
        raise ParamsError(f"{path} is not YAML: {error}; run `make params`") from error
    missing = [name for name in model.model_fields if name not in document]
    if missing:
        raise ParamsError(f"{path} has no section {missing[0]!r}: run `make params`")
    try:
        return model.model_validate({name: document[name] for name in model.model_fields})
    except ValidationError as error:
        raise ParamsError(f"{path}: " + "; ".join(_reasons(error))) from error


def _reasons(error: ValidationError) -> list[str]:
    return [
        f"{'.'.join(str(part) for part in item['loc'])} = {item['input']!r}: {item['msg']}"
        for item in error.errors()
    ]
