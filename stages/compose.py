"""Composes conf/ into params.yaml just as `dvc exp run` does, without running anything."""

import logging
import sys
from pathlib import Path

from dvc.utils.hydra import compose_and_dump

from stages.params import PARAMS_FILE

logger = logging.getLogger(__name__)


def compose(output: Path, overrides: list[str], conf: Path = Path("conf")) -> None:
    """Writes the composed parameters.

    Args:
        output: The YAML file to write.
        overrides: Hydra overrides such as `text=conv1d` or `training.epochs=5`.
        conf: The folder of groups.
    """
    compose_and_dump(str(output), str(conf.resolve()), None, "config", str(conf), overrides)


if __name__ == "__main__":
    compose(PARAMS_FILE, sys.argv[1:])
