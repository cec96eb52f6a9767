"""The service is slim: it needs nothing of what trains a model."""

import subprocess
import sys

from tests.api.service import ROOT

HEAVY = {"tensorflow", "keras", "pandas", "pyarrow", "sklearn", "scipy", "dvc", "hydra", "stages"}
SCRIPT = "import api.main, sys; print(*{name.partition('.')[0] for name in sys.modules})"


def test_importing_the_service_loads_no_training_library() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert {"api", "onnxruntime", "fastapi"} <= loaded
    assert not loaded & HEAVY
