"""Makes the files of secrets that compose.yaml names: `python -m deploy.secret_files [FOLDER]`.

Those that are there stay as they are. The folder is the owner's alone; the files in it can be read
by anyone who reaches them, as the users inside containers are others than the owner.
"""

import base64
import json
import secrets
import sys
from configparser import ConfigParser
from pathlib import Path

FOLDER = Path("secrets")
DATABASES = {"api": "product_codes", "airflow": "airflow", "mlflow": "mlflow"}
ROLE = "product_codes"


def wanted(known: dict[str, str]) -> dict[str, str]:
    """Content by file name; what is known already is kept, and others agree with it."""
    password = known.get("postgres_password") or secrets.token_urlsafe(32)
    retraining = _retraining(known) or secrets.token_urlsafe(24)
    key, secret = _s3(known) or (secrets.token_hex(10), secrets.token_urlsafe(32))
    urls = {name: _address(password, database) for name, database in DATABASES.items()}
    made = {
        "api_secret": secrets.token_urlsafe(48),
        "api_previous_secrets": "",
        "api_database_url": f"postgresql+psycopg:{urls['api']}",
        "postgres_password": password,
        "grafana_password": secrets.token_urlsafe(24),
        "mlflow_database_url": f"postgresql+psycopg:{urls['mlflow']}",
        "airflow_database_url": f"postgresql+psycopg2:{urls['airflow']}",
        "airflow_result_backend": f"db+postgresql+psycopg2:{urls['airflow']}",
        "airflow_fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "airflow_api_key": secrets.token_urlsafe(32),
        "airflow_jwt_secret": secrets.token_urlsafe(64),
        "airflow_retraining_password": retraining,
        "airflow_passwords": json.dumps(
            {"admin": secrets.token_urlsafe(24), "retraining": retraining}
        ),
        "s3_credentials": f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}",
        "s3_identities": json.dumps({"identities": [_identity(key, secret)]}),
    }
    return made | known


def _retraining(known: dict[str, str]) -> str | None:
    """Airflow's password of the webhook, from either of its files."""
    everyone = json.loads(known.get("airflow_passwords", "{}"))
    return known.get("airflow_retraining_password") or everyone.get("retraining")


def _s3(known: dict[str, str]) -> tuple[str, str] | None:
    """Both keys of the store, from either of their files."""
    if "s3_identities" in known:
        [identity] = json.loads(known["s3_identities"])["identities"]
        [keys] = identity["credentials"]
        return keys["accessKey"], keys["secretKey"]
    if "s3_credentials" in known:
        parser = ConfigParser()
        parser.read_string(known["s3_credentials"])
        given = parser["default"]
        return given["aws_access_key_id"], given["aws_secret_access_key"]
    return None


def _address(password: str, database: str) -> str:
    return f"//{ROLE}:{password}@postgres:5432/{database}"


def _identity(key: str, secret: str) -> dict[str, object]:
    credentials = [{"accessKey": key, "secretKey": secret}]
    return {"name": "product-codes", "credentials": credentials, "actions": ["Admin"]}


def write(folder: Path) -> list[str]:
    """Writes those that are missing; returns their names."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    known = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    missing = {name: text for name, text in wanted(known).items() if name not in known}
    for name, text in missing.items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o444)
    return sorted(missing)


def main() -> None:
    """Writes them, and says which."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    for name in write(folder):
        print(f"made {folder / name}")


if __name__ == "__main__":
    main()
