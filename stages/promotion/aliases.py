"""MLflow's side: the version of the registered model that has a bundle, and the alias champion."""

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from api import bundle
from api.errors import ProductCodeError
from stages import tracking
from stages.promotion import git, tracked
from stages.promotion.registry import STAGE
from stages.promotion.revisions import BUNDLE, LOCK, Revision
from stages.tracking import MODEL_NAME

TRAINED = "metrics/train/metrics.json"


class AliasError(ProductCodeError):
    """MLflow doesn't answer, or refuses."""


class Aliases:
    """The registry of an MLflow server; `uri` is the one that training records runs in."""

    def __init__(self) -> None:
        tracking.set_environment()
        self.uri = os.environ["MLFLOW_TRACKING_URI"]

    def champion(self) -> str | None:
        """The bundle of the version that has the alias, None if none has it.

        Raises:
            AliasError: MLflow doesn't answer.
        """
        with self._client() as client:
            if not client.search_registered_models(f"name = '{MODEL_NAME}'"):
                return None
            model = client.get_registered_model(MODEL_NAME)
            if STAGE not in model.aliases:
                return None
            version = client.get_model_version(MODEL_NAME, model.aliases[STAGE])
            found = client.get_run(version.run_id).data.tags.get("bundle_version")
            return found or f"version {version.version}, of no known bundle"

    def ensure(self, revision: Revision) -> str:
        """The version that has a revision's bundle; registered now if training didn't.

        Raises:
            AliasError: MLflow doesn't answer, or doesn't take it.
        """
        return self._find(revision.version) or self._record(revision)

    def make_champion(self, number: str, name: str) -> None:
        """Moves the alias to a version, and writes GTO's name for it beside it."""
        with self._client() as client:
            client.set_model_version_tag(MODEL_NAME, number, "gto_version", name)
            client.set_registered_model_alias(MODEL_NAME, STAGE, number)

    def _find(self, version: str) -> str | None:
        """The latest version whose run recorded the bundle."""
        with self._client() as client:
            experiments = [each.experiment_id for each in client.search_experiments()]
            runs = client.search_runs(experiments, f"tags.bundle_version = '{version}'")
            numbers = [
                int(each.version)
                for run in runs
                for each in client.search_model_versions(f"run_id = '{run.info.run_id}'")
                if each.name == MODEL_NAME
            ]
        return str(max(numbers)) if numbers else None

    def _record(self, revision: Revision) -> str:
        """Records a training that this server never saw, from what DVC has of it."""
        with tempfile.TemporaryDirectory(prefix="register-") as folder:
            path = tracked.fetch(revision, BUNDLE, Path(folder) / "bundle")
            parameters = bundle.load(path).meta.parameters
            kind = "+".join(str(parameters[part]["kind"]) for part in ("text", "fusion"))
            figures = json.loads(git.show(revision.sha, TRAINED) or "{}")
            tracking.record(parameters, figures, path, kind)
        number = self._find(revision.version)
        if number is None:
            raise AliasError(f"MLflow at {self.uri} did not take bundle {revision.version}")
        lock = (git.show(revision.sha, LOCK) or "").encode()
        with self._client() as client:
            run = client.get_model_version(MODEL_NAME, number).run_id
            client.set_tag(run, "git_revision", revision.sha)
            client.set_tag(
                run, "dvc_lock_md5", hashlib.md5(lock, usedforsecurity=False).hexdigest()
            )
        return number

    @contextmanager
    def _client(self) -> Iterator[Any]:
        """A client; whatever fails with it is one error."""
        try:
            import mlflow  # noqa: PLC0415  its import takes seconds

            logging.getLogger("alembic").setLevel(logging.WARNING)
            yield mlflow.MlflowClient()
        except ProductCodeError:
            raise
        except Exception as error:  # of requests, of SQLAlchemy, of MLflow itself
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise AliasError(f"MLflow at {self.uri}: {said}") from error
