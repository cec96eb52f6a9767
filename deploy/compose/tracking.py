"""Starts MLflow's server with what its secret files hold, in place of this process.

BACKEND_STORE_URI_FILE holds the URL of the database; AWS_CREDENTIALS_FILE the usual file of
credentials, with a section [default]. Buckets that are missing are made first.
"""

import os
import sys
import time
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

BUCKETS = ("mlflow", "dvc")
PATIENCE = 60.0
"""Seconds that the store may take to start."""


def database(environment: dict[str, str]) -> str:
    """The URL of the database; ends the process if there is none."""
    path = environment.get("BACKEND_STORE_URI_FILE", "")
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        sys.exit(f"ERROR: BACKEND_STORE_URI_FILE: {path!r} can't be read: {error}")


def make_buckets(endpoint: str) -> None:
    """Makes those that are missing, once the store answers; ends the process if it doesn't."""
    deadline = time.monotonic() + PATIENCE
    store = boto3.client("s3", endpoint_url=endpoint)
    while True:
        try:
            present = {bucket["Name"] for bucket in store.list_buckets()["Buckets"]}
            for name in set(BUCKETS) - present:
                store.create_bucket(Bucket=name)
        except (BotoCoreError, ClientError) as error:
            if time.monotonic() > deadline:
                sys.exit(f"ERROR: the S3 store at {endpoint}: {error}")
            time.sleep(1)
        else:
            return


def main() -> None:
    """Becomes the server."""
    environment = dict(os.environ)
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = environment.get("AWS_CREDENTIALS_FILE", "")
    make_buckets(environment["MLFLOW_S3_ENDPOINT_URL"])
    # By the environment: the URL holds a password, and anyone may read a command line.
    os.environ["MLFLOW_BACKEND_STORE_URI"] = database(environment)
    port = environment.get("MLFLOW_PORT", "5000")
    host = environment.get("MLFLOW_HOST", "0.0.0.0")  # noqa: S104  # the container's own
    command = ["mlflow", "server", "--host", host, "--port", port, "--workers", "1"]
    command += ["--serve-artifacts", "--artifacts-destination", "s3://mlflow"]
    os.execvp(command[0], command)  # noqa: S606  # there is no shell to go through


if __name__ == "__main__":
    main()
