"""MLflow: each training as a run, its bundle as a version of a registered model."""

import logging
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from api import bundle

logger = logging.getLogger(__name__)

MODEL_NAME = "ProductCodeClassifier"
DEFAULTS = {
    "MLFLOW_EXPERIMENT_NAME": MODEL_NAME,
    # A server that is down costs seconds, not minutes.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
TEMPORARY_EXPERIMENTS = ".dvc/tmp/exps"


def record(
    parameters: Mapping[str, Any], metrics: Mapping[str, Any], path: Path, model_type: str
) -> bool:
    """Sends a finished training to MLflow; whatever fails there is a warning, never an error.

    Args:
        parameters: Nested parameters of the training.
        metrics: Nested figures.
        path: The bundle, already on disk.
        model_type: Tag of the run.

    Returns:
        Whether MLflow has it.
    """
    set_environment()
    try:
        _record(parameters, metrics, path, model_type)
    except Exception as error:  # noqa: BLE001  a dead server must not lose a trained model
        server = os.environ["MLFLOW_TRACKING_URI"]
        logger.warning(
            "MLflow at %s did not take the run (%s: %s); the bundle is in %s all the same",
            server,
            type(error).__name__,
            str(error).splitlines()[0] if str(error) else "no reason given",
            path,
        )
        return False
    return True


def set_environment() -> None:
    """Defaults; a DagsHub user and token serve as the server's user and password."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    # Experiments in temporary folders are gone when they end: their runs belong to the project.
    root = Path(str(Path.cwd()).partition(f"/{TEMPORARY_EXPERIMENTS}/")[0])
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{root / 'mlflow.db'}")
    for dagshub, mlflow_name in (("USERNAME", "USERNAME"), ("TOKEN", "PASSWORD")):
        if value := os.environ.get(f"DAGSHUB_{dagshub}", ""):
            os.environ.setdefault(f"MLFLOW_TRACKING_{mlflow_name}", value)


def _record(
    parameters: Mapping[str, Any], metrics: Mapping[str, Any], path: Path, model_type: str
) -> None:
    # Here, because its import takes seconds and may fail: then there is a warning, and a bundle.
    import mlflow  # noqa: PLC0415
    import mlflow.pyfunc  # noqa: PLC0415

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    mlflow.set_experiment(os.environ["MLFLOW_EXPERIMENT_NAME"])
    with mlflow.start_run(run_name=model_type, tags=_tags(path, model_type)) as run:
        mlflow.log_params(flatten(parameters))
        mlflow.log_metrics({k: v for k, v in flatten(metrics).items() if not isinstance(v, str)})
        model = Path(__file__).with_name("mlflow_model.py")
        info = mlflow.pyfunc.log_model(
            name="bundle",
            python_model=str(model),
            artifacts={"bundle": str(path)},
            code_paths=[str(Path(bundle.__file__).parent)],
            pip_requirements=str(model.parents[1] / "requirements" / "api.in"),
            registered_model_name=MODEL_NAME,
        )
        version = info.registered_model_version
        logger.info("MLflow run %s, %s version %s", run.info.run_id, MODEL_NAME, version)


def _tags(path: Path, model_type: str) -> dict[str, str]:
    lock = Path("dvc.lock")
    opened = bundle.load(path)
    return {
        "model_type": model_type,
        "bundle_version": opened.version,
        "synthetic": str(opened.synthetic).lower(),
        "git_revision": _git_revision(),
        "dvc_lock_md5": bundle.digest(lock, "md5") if lock.exists() else "none",
    }


def _git_revision() -> str:
    try:
        output = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607  git is found on the path, as DVC does
            check=True,
            capture_output=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "none"
    return output.stdout.strip()


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
