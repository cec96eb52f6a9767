"""Stage `import`: brings the four files of a catalogue into data/raw.

They gather beside data/raw and are moved there in one step when all is well, so that an import
that was interrupted is never taken for a finished one.
"""

import logging
import shutil
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo

from stages import folder, huggingface, logs, s3, sample
from stages.params import Frozen, load
from stages.raw import DISK_FULL, SOURCE, SourceError, check, describe

logger = logging.getLogger(__name__)


def _given(value: object, field: ValidationInfo) -> object:
    """Refuses what Hydra leaves where a value is mandatory."""
    if value == "???":
        raise ValueError(f"has no default: add `-S data.{field.field_name}=...` to `dvc exp run`")
    return value


class Sample(Frozen):
    """A generated catalogue."""

    source: Literal["sample"]
    products: int = Field(ge=270)
    test_products: int = Field(ge=0)
    seed: int = Field(ge=0)


class HuggingFace(Frozen):
    """A data set on the Hugging Face hub."""

    source: Literal["huggingface"]
    repository: str = Field(pattern=r"^[^/\s]+/[^/\s]+$")
    revision: str = Field(min_length=1)


class S3(Frozen):
    """A prefix in a bucket."""

    source: Literal["s3"]
    url: Annotated[str, BeforeValidator(_given)] = Field(pattern=r"^s3://[^/\s]+")


class Folder(Frozen):
    """A local directory; a relative path starts at the project's root."""

    source: Literal["folder"]
    path: Annotated[str, BeforeValidator(_given)] = Field(min_length=1)


Source = Sample | HuggingFace | S3 | Folder


class Params(Frozen):
    """What the stage reads of params.yaml."""

    data: Annotated[Source, Field(discriminator="source")]


def place(source: Source) -> str:
    """A source as messages name it."""
    match source:
        case Sample():
            return "the generated catalogue"
        case HuggingFace():
            return f"huggingface {source.repository}@{source.revision}"
        case S3():
            return source.url
        case Folder():
            return f"folder {source.path}"


def fetch(source: Source, target: Path, partial: Path) -> None:
    """Brings the four files.

    Args:
        source: Where from.
        target: An empty directory for the files.
        partial: A directory for unfinished downloads, which a later call may go on with.
    """
    logger.info("importing from %s", place(source))
    match source:
        case Sample():
            sample.write_catalogue(target, source.products, source.test_products, source.seed)
        case HuggingFace():
            huggingface.fetch(source.repository, source.revision, target, partial)
        case S3():
            s3.fetch(source.url, target)
        case Folder():
            folder.fetch(Path(source.path), target)


def main(target: Path) -> None:
    """Imports the catalogue that `data` names into `target`."""
    source = load(Params).data
    staging = target.with_name(f"{target.name}.staging")
    files, partial = staging / "files", staging / "partial"
    shutil.rmtree(files, ignore_errors=True)
    files.mkdir(parents=True)
    partial.mkdir(exist_ok=True)
    try:
        _gather(source, files, partial)
    except BaseException:
        shutil.rmtree(files)
        if not any(partial.iterdir()):
            shutil.rmtree(staging)
        raise
    shutil.rmtree(target, ignore_errors=True)
    files.rename(target)
    shutil.rmtree(staging)


def _gather(source: Source, files: Path, partial: Path) -> None:
    """Fetches, checks and describes the files."""
    try:
        fetch(source, files, partial)
        check(files, place(source))
        text = describe(files, source.source, synthetic=source.source == "sample")
        (files / SOURCE).write_text(text, encoding="utf-8")
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        reason = f"no room to write it: {error}, {shutil.disk_usage(files).free:,} bytes are free"
        remedy = f"free some on the disk of {files}, and run the stage again"
        raise SourceError("a file", place(source), reason, remedy) from error


if __name__ == "__main__":
    logs.run(main, log="import_data")
