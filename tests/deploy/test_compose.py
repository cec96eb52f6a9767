"""compose.yaml: of a valid shape, complete, hardened, and in step with what it starts."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.settings import IN_FILES, PREFIX, Settings
from deploy import secret_files
from tests.api.service import ROOT
from tests.deploy.monitoring_stack import MONITORING, program

FILE = ROOT / "compose.yaml"
COMPOSE = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def of_profile(name: str) -> set[str]:
    return {service for service, made in SERVICES.items() if name in made["profiles"]}


def test_it_has_the_shape_that_compose_takes() -> None:
    command = [program("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", FILE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_profiles_hold_what_they_promise() -> None:
    assert of_profile("serve") == {"api", "auth", "postgres", "redis"}
    monitoring = {"prometheus", "alertmanager", "node", "grafana", "retraining"}
    assert of_profile("monitoring") == monitoring
    assert of_profile("tracking") == {"mlflow", "s3", "postgres"}
    parts = ("apiserver", "scheduler", "dag-processor", "worker", "triggerer", "init")
    airflow = {f"airflow-{part}" for part in parts}
    assert of_profile("airflow") == airflow | {"postgres", "redis"}
    assert of_profile("pipeline") == {"data", "train", "predict"}


def test_the_briefs_ports_are_open() -> None:
    published = {name: made["ports"][0] for name, made in SERVICES.items() if "ports" in made}
    assert published["api"].endswith(":8000:8000")
    assert published["auth"].endswith(":8011:8011")
    assert SERVICES["auth"]["environment"]["UVICORN_PORT"] == "8011"


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_has_rights_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    # Airflow writes into its own folder, and starts what DAGs name.
    assert service.get("read_only", False) or name.startswith("airflow-")


def test_every_image_has_a_tag_that_stays() -> None:
    images = {service["image"] for service in SERVICES.values()}
    foreign = {image for image in images if not image.startswith("${")}
    assert all(re.search(r":v?\d+\.\d+|:\d+-", image) for image in foreign), foreign


def test_secrets_are_files_that_are_made() -> None:
    """Nothing else in the file, or in the environment it gives, is secret."""
    named = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
    assert named == COMPOSE["secrets"].keys() == secret_files.wanted({}).keys()
    for name, secret in COMPOSE["secrets"].items():
        assert secret == {"file": f"secrets/{name}"}
    for service in SERVICES.values():
        text = json.dumps(service.get("environment", {}))
        for used in re.findall(r"/run/secrets/(\w+)", text):
            assert used in service["secrets"]


def test_the_service_gets_settings_that_it_knows_and_its_secrets_as_files() -> None:
    for name in ("api", "auth"):
        given = {key for key in SERVICES[name]["environment"] if key.startswith(PREFIX)}
        known = {f"{PREFIX}{field.upper()}" for field in Settings.model_fields}
        files = {f"{PREFIX}{field.upper()}_FILE" for field in IN_FILES}
        assert given <= known | files
        assert {"API_SECRET_FILE", "API_DATABASE_URL_FILE"} <= given
        assert not {"API_SECRET", "API_PREVIOUS_SECRETS", "API_DATABASE_URL"} & given


def test_every_file_that_is_mounted_exists() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).exists(), source


def test_every_stage_that_it_runs_is_one() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for name in of_profile("pipeline"):
        assert set(SERVICES[name]["command"][2:]) <= stages.keys()


def test_prometheus_finds_its_targets_under_the_names_of_services() -> None:
    scraped = yaml.safe_load((MONITORING / "prometheus.yml").read_text())["scrape_configs"]
    targets = {
        target.split(":")[0]
        for job in scraped
        for static in job["static_configs"]
        for target in static["targets"]
    }
    assert targets - {"localhost"} <= SERVICES.keys()


def test_every_variable_has_a_default_and_is_documented() -> None:
    """`.env.example` says what each is for; none is needed."""
    used = re.findall(r"(?<!\$)\$\{(\w+)(:-)?", FILE.read_text())
    assert {name for name, default in used if not default} == set()
    documented = set(re.findall(r"^#? ?(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert {name for name, _ in used} <= documented


def test_secrets_are_made_once_and_agree(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    made = secret_files.write(folder)
    read = {name: (folder / name).read_text() for name in made}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert secret_files.write(folder) == []
    for name in ("api_database_url", "airflow_database_url", "mlflow_database_url"):
        assert f":{read['postgres_password']}@postgres:5432/" in read[name]
    passwords = json.loads(read["airflow_passwords"])
    assert passwords["retraining"] == read["airflow_retraining_password"]
    [identity] = json.loads(read["s3_identities"])["identities"]
    assert identity["credentials"][0]["secretKey"] in read["s3_credentials"]
    assert Settings(secret=read["api_secret"], database_url=read["api_database_url"])


def test_a_secret_that_is_lost_is_made_to_fit_the_others(tmp_path: Path) -> None:
    secret_files.write(tmp_path)
    password = (tmp_path / "postgres_password").read_text()
    (tmp_path / "mlflow_database_url").unlink()
    (tmp_path / "s3_identities").unlink()
    assert secret_files.write(tmp_path) == ["mlflow_database_url", "s3_identities"]
    assert password in (tmp_path / "mlflow_database_url").read_text()
    [identity] = json.loads((tmp_path / "s3_identities").read_text())["identities"]
    key = identity["credentials"][0]["secretKey"]
    assert key in (tmp_path / "s3_credentials").read_text()
