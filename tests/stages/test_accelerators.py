"""The code path of GPUs, on the CPU: mixed precision, and batches split over two devices."""

import subprocess
import sys
from pathlib import Path

import keras
import pytest

from stages import accelerators
from tests.stages import tiny_embedded

ROOT = Path(__file__).parents[2]
TRAIN = """
import sys, tempfile, json
from pathlib import Path
import numpy as np, tensorflow as tf, keras
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from dvclive import Live
from stages.head_training import Experts, HeadParams, finish, train_trunk
from stages.training_data import TrainingData
from tests.stages import tiny_embedded
precision, devices, folder = sys.argv[1:]
document = tiny_embedded.HEAD
document["training"] |= {"precision": precision, "devices": devices, "epochs": 6, "patience": 6}
document["text"] = tiny_embedded.CONV1D
params = HeadParams.model_validate(document)
data = TrainingData.read(Path(folder), params.text)
keras.utils.set_random_seed(1)
experts = Experts(params, data.tokenizer, data.splits, data.sizes)
with Live(tempfile.mkdtemp(), save_dvc_exp=False, dvcyaml=None, monitor_system=False) as live:
    trunk = train_trunk(experts, live)
    f1 = live.summary["val_macro_f1"]
head = finish(trunk, experts)
found = head(data.head_inputs(data.splits[1], slice(None)), training=False)
print(json.dumps({"f1": f1, "dtype": str(found.dtype.name), "policy": trunk.dtype_policy.name}))
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_embedded.write(tmp_path_factory.mktemp("embedded") / "data")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "devices"), [("mixed_float16", "one"), ("mixed_bfloat16", "all")]
)
def test_it_learns_and_is_served_in_float32(precision: str, devices: str, data: Path) -> None:
    """Two logical CPUs stand for two GPUs: the same strategy, the same code."""
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, precision, devices, str(data)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '"dtype": "float32", "policy": "float32"' in done.stdout
    assert float(done.stdout.split('"f1": ')[1].split(",")[0]) > 0.7


def test_the_policy_is_put_back_even_after_an_error() -> None:
    def fail() -> None:
        with accelerators.scope("mixed_bfloat16", "one"):
            raise RuntimeError(keras.config.dtype_policy().name)

    with pytest.raises(RuntimeError, match="mixed_bfloat16"):
        fail()
    assert keras.config.dtype_policy().name == "float32"
