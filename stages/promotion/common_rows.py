"""The rows on which two revisions may be compared: held out from both of them.

While data and split are the same, evaluate's predictions of both are of the same rows. Otherwise
the champion's bundle answers the candidate's held-out rows again, but for rows that show a product
the champion was trained on: there it would only have to remember.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from api import bundle
from api.archive import ImageArchive
from api.errors import ProductCodeError
from stages import held_out
from stages.promotion import tracked
from stages.promotion.answers import Answers, Pair, pair, same_rows
from stages.promotion.revisions import BUNDLE, IMAGES, PREDICTIONS, PREPROCESSED, Revision
from stages.split import group

SEEN = ("train", "validation")
SHARED_IMAGES = 20  # rows of one image; more share a placeholder, as preprocess has it
COLUMNS = ["row", "designation", "image", "code"]


class CommonRowsError(ProductCodeError):
    """Two revisions that no row was held out from both of."""


@dataclass(frozen=True)
class Comparison:
    """The pair, all the candidate's answers, and in words how the rows were come by."""

    pair: Pair
    candidate: Answers
    rows: str


def answers(revision: Revision, folder: Path) -> Answers:
    """What `evaluate` recorded of a revision.

    Raises:
        CommonRowsError: It recorded another bundle than the one in dvc.lock.
    """
    scored = revision.dependency("evaluate", BUNDLE)
    if scored != revision.version:
        raise CommonRowsError(
            f"dvc.lock of {revision.short} has bundle {revision.version}, evaluate scored "
            f"{scored}: run `dvc repro` and commit dvc.lock"
        )
    return Answers.read(tracked.fetch(revision, PREDICTIONS, folder / "predictions.parquet"))


def compare(champion: Revision, candidate: Revision) -> Comparison:
    """Both revisions' answers on the rows that were held out from both.

    Raises:
        CommonRowsError: There are none.
        TrackedError: What it takes is in neither the cache nor the remote.
    """
    with tempfile.TemporaryDirectory(prefix="compare-") as name:
        folder = Path(name)
        mine = answers(candidate, folder / "candidate")
        if _same_data(champion, candidate):
            theirs = answers(champion, folder / "champion")
            if same_rows(theirs, mine):
                said = f"the {len(mine.row)} rows that both revisions held out"
                return Comparison(pair(theirs, mine), mine, said)
        return _again(champion, candidate, mine, folder)


def _same_data(champion: Revision, candidate: Revision) -> bool:
    """Whether row numbers mean the same products: the same split of the same images."""
    read = [
        [revision.dependency("evaluate", path) for path in (PREPROCESSED, IMAGES)]
        for revision in (champion, candidate)
    ]
    return None not in read[0] and read[0] == read[1]


def _again(champion: Revision, candidate: Revision, mine: Answers, folder: Path) -> Comparison:
    """The champion's bundle on what of the candidate's held-out rows it can be judged by."""
    model = bundle.load(tracked.fetch(champion, BUNDLE, folder / "bundle"), threads=0)
    split = tracked.fetch(candidate, f"{PREPROCESSED}/test.parquet", folder / "test.parquet")
    with ImageArchive(tracked.borrow(candidate, IMAGES, folder)) as images:
        table = pd.read_parquet(split)
        seen = _seen(champion, table, images, folder)
        known = table["code"].isin([label["code"] for label in model.labels]).to_numpy()
        kept = table[~seen & known]
        said = _said(len(table), int(seen.sum()), int((~seen & ~known).sum()))
        if kept.empty:
            raise CommonRowsError(
                f"{champion.short} can't be compared with {candidate.short}: {said}; train the "
                "champion's parameters on the candidate's data, and compare with that"
            )
        kept.to_parquet(folder / "kept.parquet", index=False)
        scored = held_out.score(model, folder / "kept.parquet", images)
    theirs = Answers.of(held_out.as_table(scored, model.labels))
    return Comparison(pair(theirs, mine), mine, said)


def _said(rows: int, seen: int, unknown: int) -> str:
    left = rows - seen - unknown
    parts = [f"data or split changed: the champion answered {left} of {rows} rows again"]
    parts += [f"{seen} left out, which show products it was trained on"] if seen else []
    parts += [f"{unknown} left out, whose codes it doesn't know"] if unknown else []
    return "; ".join(parts)


def _seen(
    champion: Revision, table: pd.DataFrame, images: ImageArchive, folder: Path
) -> np.ndarray:
    """Rows, bool (N,), that show a product of the champion's training or validation split.

    By the rule of the split itself: the same title, or an image of the same bytes.
    """
    paths = [
        tracked.fetch(champion, f"{PREPROCESSED}/{name}.parquet", folder / f"{name}.parquet")
        for name in SEEN
    ]
    trained = pd.concat([pd.read_parquet(path, columns=COLUMNS) for path in paths])
    with ImageArchive(tracked.borrow(champion, IMAGES, folder / "champion")) as theirs:
        identities = _identities(trained, theirs) + _identities(table, images)
    titles = trained["designation"].tolist() + table["designation"].tolist()
    groups = group(titles, identities, SHARED_IMAGES)
    shown: np.ndarray = np.isin(groups[len(trained) :], groups[: len(trained)])
    return shown


def _identities(table: pd.DataFrame, archive: ImageArchive) -> list[tuple[int, int] | None]:
    """CRC-32 and size of each row's image, as `preprocess` tells images apart."""
    found = [archive.members.get(name) for name in table["image"]]
    return [(info.CRC, info.file_size) if info and info.file_size else None for info in found]
