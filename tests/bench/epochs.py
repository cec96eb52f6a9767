"""An epoch of the default head beside one of the predecessor's, on the same number of rows.

`python -m tests.bench.epochs [ROWS]`: random features and token ids of the real shapes, as speed
does not depend on what they say. Both train from cached features; the predecessor itself ran VGG16
over every image in every epoch, which is not counted here.
"""

import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import keras
import numpy as np

from stages import heads
from stages.compose import compose
from stages.fitting import Fit
from stages.head_training import HeadParams
from stages.heads import Sizes
from stages.params import load

CLASSES, EPOCHS = 27, 4
PRESETS = {
    "default": Sizes(CLASSES, features=1280, sentence=1024, tokens=640, vocabulary=259),
    "predecessor": Sizes(CLASSES, features=512, sentence=0, tokens=64, vocabulary=8000),
}


def main(rows: int) -> None:
    """Prints the median epoch of each preset, and their ratio."""
    seconds = {preset: epoch(preset, sizes, rows) for preset, sizes in PRESETS.items()}
    for preset, median in seconds.items():
        print(f"{preset:12} {median:6.2f} s an epoch of {rows} rows")
    print(f"the default is {seconds['predecessor'] / seconds['default']:.1f} times as fast")


def epoch(preset: str, sizes: Sizes, rows: int) -> float:
    """Median seconds of the epochs after the first, which compiles."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "params.yaml"
        compose(file, [f"+experiment={preset}"])
        params = load(HeadParams, file)
    keras.backend.clear_session()
    training = params.training
    trunk = heads.trunk(params.text, params.fusion, sizes, training.modality_dropout, training.seed)
    generator = np.random.default_rng(0)
    inputs = {tensor.name: fill(tensor, rows, sizes, generator) for tensor in trunk.inputs}
    labels = generator.integers(0, CLASSES, rows).astype(np.int32)
    fit = Fit(trunk, training, inputs, inputs, labels, labels)
    fit.compile()
    text_only = params.fusion.kind == "weighted"
    batches = fit.batches(text_only)[0]
    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: ends.append(time.perf_counter()))
    trunk.fit(batches, epochs=EPOCHS, callbacks=[clock], shuffle=False, verbose=0)
    return statistics.median(end - start for start, end in pairwise(ends))


def fill(
    tensor: keras.KerasTensor, rows: int, sizes: Sizes, generator: np.random.Generator
) -> np.ndarray:
    """Random rows for one input."""
    shape = (rows, *tensor.shape[1:])
    if tensor.dtype == "bool":
        return np.ones(shape, np.bool_)
    if tensor.dtype == "int32":
        return generator.integers(1, sizes.vocabulary, shape).astype(np.uint16)
    return generator.random(shape, np.float32).astype(np.float16)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
