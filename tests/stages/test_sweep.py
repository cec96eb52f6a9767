"""A sweep of heads on tiny data: what it tries, what it writes, what it refuses."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from stages import sweep
from stages.sweep import SweepError
from tests.stages import tiny_embedded

SPACE = {
    "trials": 3,
    "seed": 1,
    "space": {"fusion.hidden": [4, 8], "training.learning_rate": {"low": 0.001, "high": 0.1}},
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tiny_embedded.PARAMS))
    return tmp_path


def write(folder: Path, **changes: object) -> Path:
    file = folder / "space.yaml"
    file.write_text(yaml.safe_dump(SPACE | changes))
    return file


@pytest.mark.slow
def test_a_sweep_ranks_its_trials_and_repeats_itself(project: Path) -> None:
    data = tiny_embedded.write(project / "data")
    for output in ("once", "again"):
        sweep.main(data, project / output, write(project))
    table = pd.read_csv(project / "once/trials.csv")
    assert sorted(table["trial"]) == [0, 1, 2]
    assert table["val_log_loss"].is_monotonic_increasing
    assert set(table["fusion.hidden"]) <= {4, 8}
    assert table["training.learning_rate"].between(0.001, 0.1).all()
    assert "<svg" in (project / "once/parallel_coordinates.svg").read_text()
    pd.testing.assert_frame_equal(table, pd.read_csv(project / "again/trials.csv"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fusion.nonsense", "no parameter"),
        ("image.size", "no parameter"),
        ("training.folds", "experts depend on training.folds"),
    ],
)
def test_what_cant_be_swept_is_named(name: str, message: str, project: Path) -> None:
    with pytest.raises(SweepError, match=message):
        sweep.main(project / "data", project / "out", write(project, space={name: [1, 2]}))


def test_a_space_that_is_no_yaml_is_named(project: Path) -> None:
    (project / "space.yaml").write_text("trials: [")
    with pytest.raises(SweepError, match=r"space\.yaml"):
        sweep.read(project / "space.yaml")


def test_a_value_out_of_bounds_is_refused() -> None:
    params = sweep.HeadParams.model_validate(tiny_embedded.HEAD)
    with pytest.raises(SweepError, match="less than 1"):
        sweep.changed(params, {"fusion.dropout": 1.5})


def test_the_committed_space_can_be_swept() -> None:
    root = Path(__file__).parents[2]
    params = sweep.load(sweep.HeadParams, root / "params.yaml")
    sweep.check(sweep.read(root / sweep.SPACE), params, sweep.SPACE)
