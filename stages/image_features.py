"""Features of many images: decoded and embedded by threads, written straight to disk."""

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pyarrow.parquet as pq

from api.archive import ArchiveError, ImageArchive
from api.errors import ProductCodeError
from api.inputs import ImageError
from stages.embedded import Split
from stages.progress import Progress
from stages.views import views

BATCH = 8  # images in one inference; more are no faster and take more memory
USED, MISSING, CORRUPT = "used", "missing", "corrupt"  # outcomes beside ImageError's reasons


class FeatureError(ProductCodeError):
    """Images that can't be embedded, for another reason than an image's own fault."""


@dataclass(frozen=True)
class Row:
    """A product's row index and the name of its image, '' when it has none."""

    row: int
    image: str


@dataclass(frozen=True)
class Source:
    """Where images come from and how they are read: side in pixels, resampling."""

    archive: ImageArchive
    size: int
    resampling: str

    def read(self, row: Row, count: int = 1) -> tuple[list[np.ndarray], str]:
        """Views of a product's image, uint8 (size, size, 3) each, and the outcome.

        There are `count` views if the outcome is `USED`, else none.

        Raises:
            FeatureError: The archive lacks an image that preprocess found in it.
        """
        if not row.image:
            return [], MISSING
        try:
            data = self.archive.read(row.image)
            if data is None:
                raise FeatureError(
                    f"{self.archive.path} has no {row.image}, the image of row {row.row}: the two "
                    "come from different imports; run `dvc repro preprocess`"
                )
            return list(views(data, self.size, self.resampling, row.row, count)), USED
        except ImageError as error:
            return [], error.reason
        except ArchiveError:
            return [], CORRUPT


def read_rows(table: Path) -> list[Row]:
    """The products of a table of data/preprocessed, in its order."""
    columns = pq.read_table(table, columns=["row", "image"]).to_pydict()
    return [Row(row, image) for row, image in zip(columns["row"], columns["image"], strict=True)]


def write_features(
    backbone: Path,
    source: Source,
    rows: Sequence[Row],
    split: Split,
    batch: int = BATCH,
    threads: int | None = None,
) -> Counter[str]:
    """Fills in features and has_image of a split.

    Args:
        backbone: An ONNX model from `pixels` to `features`.
        source: Where the images are.
        rows: The N products of the split.
        split: New arrays of N rows; the number of views is theirs.
        batch: Images in one inference; batches are cut by row, so threads never change them.
        threads: Batches at once, each on a thread of its own; None takes every core.

    Returns:
        How many images had which outcome: used, missing, corrupt or a reason of ImageError.

    Raises:
        FeatureError: A feature is too large for float16, or an image is not in the archive.
    """
    embedder = _Embedder(open_session(backbone), source, rows, split)
    step = max(1, batch // split.features.shape[1])
    parts = [range(start, min(start + step, len(rows))) for start in range(0, len(rows), step)]
    outcomes: Counter[str] = Counter()
    with (
        ThreadPoolExecutor(threads or os.cpu_count()) as pool,
        Progress(total=len(rows), desc="images", unit=" products") as bar,
    ):
        for part, counts in zip(parts, pool.map(embedder, parts), strict=True):
            outcomes += counts
            bar.update(len(part))
    return outcomes


def open_session(backbone: Path) -> ort.InferenceSession:
    """A backbone with one thread an inference: the cores are kept busy by several batches."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(str(backbone), options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True)
class _Embedder:
    """Decodes and embeds some rows of a split; safe to call from several threads."""

    session: ort.InferenceSession
    source: Source
    rows: Sequence[Row]
    split: Split

    def __call__(self, positions: range) -> Counter[str]:
        outcomes: Counter[str] = Counter()
        pixels: list[np.ndarray] = []
        used: list[int] = []
        for position in positions:
            images, outcome = self.source.read(self.rows[position], self.split.features.shape[1])
            outcomes[outcome] += 1
            if images:
                pixels += images
                used.append(position)
        if used:
            self.split.features[used] = self._features(np.stack(pixels), len(used))
            self.split.has_image[used] = True
        return outcomes

    def _features(self, pixels: np.ndarray, products: int) -> np.ndarray:
        """Features, float16 (products, V, D), of the views of some products in turn."""
        features: np.ndarray = self.session.run(["features"], {"pixels": pixels})[0]
        if not np.abs(features).max() <= np.finfo(np.float16).max:
            raise FeatureError(
                f"a feature is {np.abs(features).max():g}, which 16 bits don't hold: the weights "
                "are not those of a trained backbone; check image.weights"
            )
        return features.astype(np.float16).reshape(products, -1, features.shape[1])
