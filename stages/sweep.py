"""A sweep of heads on cached features: experts are fitted once, then each trial trains a network.

`python -m stages.sweep data/embedded OUTPUT [conf/sweep.yaml]`

Not a stage of the DAG: it finds parameters, which `dvc exp run -S` then trains, exports and scores
as any others. A grid of `dvc exp run --queue` does the same with every stage after `embed`, and
costs a whole training for each head.
"""

import copy
import logging
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import matplotlib.pyplot as plt
import optuna
import pandas as pd
import tensorflow as tf
import yaml
from dvclive import Live
from optuna.exceptions import ExperimentalWarning
from optuna.visualization.matplotlib import plot_parallel_coordinate
from pydantic import Field, ValidationError

from api.errors import ProductCodeError
from stages import calibration, fusion
from stages.fitting import MONITOR
from stages.head_training import Experts, HeadParams, train_trunk
from stages.params import Frozen, load
from stages.training_data import TrainingData

LOSS = "val_log_loss"
SPACE = Path("conf/sweep.yaml")
# What experts are fitted with stays as it is: they are fitted once.
FIXED = {
    "text.kind",
    "text.orders",
    "text.words",
    "text.regularisation",
    "training.folds",
    "training.seed",
}
FIXED |= {"training.class_weights", "training.image_regularisation"}
FIXED |= {"training.sentence_regularisation"}

logger = logging.getLogger(__name__)


class SweepError(ProductCodeError):
    """A search space that can't be swept."""


class Range(Frozen):
    """Numbers from `low` to `high`; `log` draws their order of magnitude evenly."""

    low: float
    high: float
    log: bool = False


class Sweep(Frozen):
    """How many heads are trained, the seed of what is drawn, and where it is drawn from."""

    trials: int = Field(ge=1, le=10_000)
    seed: int = Field(ge=0)
    space: dict[str, Range | list[Any]] = Field(min_length=1)


def main(data: Path, output: Path, space: Path = SPACE) -> None:
    """Writes OUTPUT/trials.csv and parallel_coordinates.svg; prints what to run."""
    sweep, params = read(space), load(HeadParams)
    check(sweep, params, space)
    source = TrainingData.read(data, params.text)
    tf.config.experimental.enable_op_determinism()
    experts = Experts(params, source.tokenizer, source.splits, source.sizes)
    output.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=sweep.seed))
    study.optimize(objective(sweep, params, experts, output), n_trials=sweep.trials)
    write(study, output)


def read(space: Path) -> Sweep:
    """The search space.

    Raises:
        SweepError: The file is missing or not understood.
    """
    try:
        return Sweep.model_validate(yaml.safe_load(space.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise SweepError(f"{space}: {error}; see conf/sweep.yaml for the form") from error


def check(sweep: Sweep, params: HeadParams, space: Path) -> None:
    """Refuses names that are no parameters, or that the experts depend on."""
    for name in sweep.space:
        section, _, field = name.partition(".")
        if field not in params.model_dump().get(section, {}):
            raise SweepError(f"{space}: {name} is no parameter of text, fusion or training")
        if name in FIXED:
            raise SweepError(
                f"{space}: the experts depend on {name}, and a sweep fits them once: "
                f"run `dvc exp run -S '{name}=...' --queue` instead"
            )


def objective(
    sweep: Sweep, params: HeadParams, experts: Experts, output: Path
) -> Callable[[optuna.Trial], float]:
    """Trains the head of a trial; what counts is its calibrated validation log-loss."""

    def run(trial: optuna.Trial) -> float:
        chosen = changed(params, {name: draw(trial, name, of) for name, of in sweep.space.items()})
        keras.backend.clear_session()
        keras.utils.set_random_seed(chosen.training.seed)
        folder = output / "trials" / str(trial.number)
        with Live(str(folder), save_dvc_exp=False, dvcyaml=None, monitor_system=False) as live:
            live.log_params(chosen.model_dump(mode="json"))
            trunk = train_trunk(experts, live, chosen)
            fitted = calibration.fit(trunk, experts.inputs[1], experts.splits[1].labels)
            live.summary[LOSS] = float(fitted.losses[fusion.BOTH])
        trial.set_user_attr(MONITOR, live.summary[MONITOR])
        logger.info("trial %d: %s with %s", trial.number, live.summary, trial.params)
        return float(live.summary[LOSS])

    return run


def draw(trial: optuna.Trial, name: str, values: Range | list[Any]) -> Any:
    """What a trial takes for one parameter."""
    if isinstance(values, Range):
        return trial.suggest_float(name, values.low, values.high, log=values.log)
    return trial.suggest_categorical(name, values)


def changed(params: HeadParams, values: Mapping[str, Any]) -> HeadParams:
    """The parameters with some of them replaced, checked as any others.

    Raises:
        SweepError: A value is not allowed.
    """
    document = copy.deepcopy(params.model_dump())
    for name, value in values.items():
        section, _, field = name.partition(".")
        document[section][field] = value
    try:
        return HeadParams.model_validate(document)
    except ValidationError as error:
        raise SweepError(f"{dict(values)}: {error.errors()[0]['msg']}") from error


def write(study: optuna.Study, output: Path) -> None:
    """The trials, best first, and how they lie in the space."""
    names = sorted(study.best_params)
    table = pd.DataFrame(
        [
            {"trial": trial.number, LOSS: trial.value, **trial.user_attrs, **trial.params}
            for trial in study.trials
        ]
    ).sort_values([LOSS, "trial"])
    table.to_csv(output / "trials.csv", index=False, float_format="%.6g", lineterminator="\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        plot_parallel_coordinate(study, params=names, target_name=LOSS)
    figure = plt.gcf()
    figure.set_size_inches(12, 5)
    figure.savefig(output / "parallel_coordinates.svg", metadata={"Date": None})
    plt.close(figure)
    logger.info("trials, best first\n%s", table.to_string(index=False))
    overrides = " ".join(f"-S {name}={study.best_params[name]:.4g}" for name in names)
    logger.info("train, export and score the best: dvc exp run %s", overrides)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)-7s %(message)s")
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: python -m stages.sweep data/embedded OUTPUT [SPACE]")
    try:
        main(*map(Path, sys.argv[1:]))
    except ProductCodeError as error:
        sys.exit(f"sweep: {error}")
