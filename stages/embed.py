"""Stage `embed`: images become features of a frozen backbone, texts become token ids.

All that the sweeps of heads have in common is computed once here, and memory-mapped by them.
"""

import logging
import shutil
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from tokenizers import Tokenizer

from api.archive import ImageArchive
from api.errors import ProductCodeError
from stages import backbones, embedded, export, logs, sentence_features, tokenization
from stages.backbones import ImageParams
from stages.image_features import Row, Source, read_rows, write_features
from stages.params import Frozen, load
from stages.sentence_features import SentenceParams
from stages.tokenization import TokenParams

TEXTS_PER_BATCH = 1024
PARITY_TEXTS = 8
PARITY_IMAGES = 8  # real ones, for which the exported backbone must give what Keras gives

logger = logging.getLogger(__name__)


class EmbedError(ProductCodeError):
    """Preprocessed data that can't be embedded."""


class Params(Frozen):
    """The sections that this stage reads."""

    image: ImageParams
    sentence: SentenceParams
    tokens: TokenParams


def main(preprocessed: Path, images: Path, output: Path) -> None:
    """Reads data/preprocessed and images.zip; writes data/embedded."""
    params = load(Params)
    output.mkdir(parents=True, exist_ok=True)
    (output / embedded.META).unlink(missing_ok=True)  # what is here is unfinished from now on
    tables = {name: preprocessed / f"{name}.parquet" for name in embedded.SPLITS}
    rows = {name: _rows(table) for name, table in tables.items()}
    tokenizers = write_tokenizers(tables["train"], params.tokens, output)
    outcomes = {}
    sentence = sentence_features.write_encoder(params.sentence, _first(tables["train"]), output)
    with ImageArchive(images) as archive:
        source = Source(archive, params.image.size, params.image.resampling)
        features = write_backbone(params.image, sample(source, rows["train"]), output)
        for name, table in tables.items():
            views = params.image.views if name == "train" else 1
            shape = embedded.Shape(
                rows=len(rows[name]),
                views=views,
                features=features,
                characters=params.tokens.characters,
                subwords=params.tokens.subwords,
                sentence=sentence.features,
            )
            split = embedded.create_split(output, name, shape)
            write_texts(table, tokenizers, split)
            if sentence.features:
                sentence_features.write_features(output, _texts(table), split, name)
            counts = write_features(output / embedded.BACKBONE, source, rows[name], split)
            outcomes[name] = dict(counts)
            logger.info("%s: %d products, images %s", name, len(rows[name]), dict(counts))
    described = params.image.model_dump(exclude={"weights"})
    meta = embedded.Meta(**described, features=features, images=outcomes, sentence=sentence)
    _finish(preprocessed, output, meta)


def write_tokenizers(train: Path, params: TokenParams, output: Path) -> dict[str, Tokenizer]:
    """The tokenizers by the name of their array; subwords are learnt from the train rows alone."""
    texts = (text for batch in _texts(train) for text in batch)
    tokenizers = {
        "characters": tokenization.characters(params.characters),
        "subwords": tokenization.subwords(texts, params.vocabulary, params.subwords),
    }
    for name, tokenizer in tokenizers.items():
        (output / f"{name}.json").write_text(tokenizer.to_str(), encoding="utf-8")
    return tokenizers


def write_backbone(params: ImageParams, pixels: np.ndarray, output: Path) -> int:
    """Exports the backbone, if the export gives what Keras gives; returns its width D.

    Args:
        params: Which backbone.
        pixels: Images to compare the two with, uint8 (N, size, size, 3), RGB.
        output: data/embedded.

    Raises:
        BackboneError: The weights can't be had.
        ExportError: The export differs from the Keras model.
    """
    model = backbones.build(params)
    expected = model(pixels, training=False).numpy()
    exported = export.to_onnx(model, "features")
    difference = export.check_parity(exported, {"pixels": pixels}, expected)
    logger.info("%s: ONNX differs from Keras by %.1e at most", params.backbone, difference)
    (output / embedded.BACKBONE).write_bytes(exported.SerializeToString(deterministic=True))
    return int(expected.shape[1])


def sample(source: Source, rows: Sequence[Row]) -> np.ndarray:
    """The first usable images, uint8 (N, size, size, 3); one of noise where there is none."""
    usable = (image for row in rows for image in source.read(row)[0])
    noise = np.random.default_rng(0).integers(0, 256, (source.size, source.size, 3), np.uint8)
    return np.stack(list(islice(usable, PARITY_IMAGES)) or [noise])


def write_texts(table: Path, tokenizers: dict[str, Tokenizer], split: embedded.Split) -> None:
    """Fills in row indices, labels and token ids of a split, a batch of texts at a time."""
    columns = pq.read_table(table, columns=["row", "label"])
    split.rows[:] = columns["row"].to_numpy()
    split.labels[:] = columns["label"].to_numpy()
    start = 0
    for texts in _texts(table):
        rows = slice(start, start + len(texts))
        split.characters[rows] = tokenization.encode(tokenizers["characters"], texts)
        split.subwords[rows] = tokenization.encode(tokenizers["subwords"], texts)
        start = rows.stop


def _rows(table: Path) -> list[Row]:
    if not table.is_file():
        raise EmbedError(f"{table} not found: run `dvc repro preprocess`")
    rows = read_rows(table)
    if not rows:
        raise EmbedError(
            f"{table} has no rows, at least one is needed: bring more data, or change the "
            "fractions of the preprocess section in conf/"
        )
    return rows


def _texts(table: Path) -> Iterator[list[str]]:
    for batch in pq.ParquetFile(table).iter_batches(TEXTS_PER_BATCH, columns=["text"]):
        yield batch.column("text").to_pylist()


def _first(table: Path) -> list[str]:
    return next(_texts(table), [])[:PARITY_TEXTS]


def _finish(preprocessed: Path, output: Path, meta: embedded.Meta) -> None:
    """Copies what later stages need of data/preprocessed, then says what all of this is."""
    for name in (embedded.LABELS, embedded.SOURCE):
        shutil.copyfile(preprocessed / name, output / name)
    embedded.write_meta(output, meta)


if __name__ == "__main__":
    logs.run(main, log="import_data")
