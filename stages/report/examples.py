"""The products whose answer changed most, with their photos."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from api.archive import ImageArchive
from stages.cards import shortened
from stages.report.answers import TEST, Answers, read_table
from stages.report.classes import name_of
from stages.report.markdown import image, plain, table
from stages.report.revision import Revision
from stages.thumbnails import SIDE, Thumbnails

EACH = 6  # products that lost, and as many that gained
BUDGET = 120_000  # characters of all photos
IMAGES = "data/raw/images.zip"
COLUMNS = ["", "product", "true class", "base", "this revision", "p(true class)"]


@dataclass(frozen=True)
class Photos:
    """Small photos, written beside the page; none where the archive is not at hand."""

    thumbnails: Thumbnails | None
    folder: Path

    def show(self, name: str, row: int) -> str:
        """A photo as Markdown, '' if it can't be shown."""
        uri = self.thumbnails.uri(name) if self.thumbnails else None
        if uri is None:
            return ""
        file = f"product-{row}.jpg"
        (self.folder / file).write_bytes(base64.b64decode(uri.partition(",")[2]))
        return image(file, f"photo of row {row}", SIDE)


def render(answers: Answers, after: Revision, folder: Path) -> str:
    """Two tables: what lost most and what gained most of the true class's probability."""
    products = read_table(after, TEST, ["row", "designation", "image"]).set_index("row")
    lost, gained = most_changed(answers)
    archive = after.local(IMAGES)
    if archive is None:
        return _tables(answers, products, Photos(None, folder), lost, gained) + (
            f"\n\nNo photos: {IMAGES} is not on this machine (`dvc pull {IMAGES}`)."
        )
    with ImageArchive(archive) as opened:
        photos = Photos(Thumbnails(opened, BUDGET), folder)
        return _tables(answers, products, photos, lost, gained)


def most_changed(answers: Answers) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the products that lost and gained most.

    First those that became wrong, or right; then by the change of the true class's probability.
    """
    at = np.arange(len(answers.truth))
    change = answers.after[at, answers.truth] - answers.before[at, answers.truth]
    was, now = (side.argmax(axis=1) == answers.truth for side in (answers.before, answers.after))
    lost = np.lexsort((change, ~(was & ~now)))
    gained = np.lexsort((-change, ~(now & ~was)))
    return lost[change[lost] < 0][:EACH], gained[change[gained] > 0][:EACH]


def _tables(
    answers: Answers,
    products: pd.DataFrame,
    photos: Photos,
    lost: np.ndarray,
    gained: np.ndarray,
) -> str:
    flips = int((answers.before.argmax(axis=1) != answers.after.argmax(axis=1)).sum())
    parts = [f"{flips:,} of {len(answers.rows):,} products get another answer."]
    for title, positions in (("Lost most", lost), ("Gained most", gained)):
        if len(positions):
            rows = table(COLUMNS, _rows(answers, products, photos, positions), numbers=1)
            parts.append(f"**{title}**\n\n{rows}")
    return "\n\n".join(parts)


def _rows(
    answers: Answers,
    products: pd.DataFrame,
    photos: Photos,
    positions: np.ndarray,
) -> Iterator[list[str]]:
    for at in positions:
        row, truth = int(answers.rows[at]), answers.truth[at]
        product = products.loc[row]
        one, other = answers.before[at], answers.after[at]
        yield [
            photos.show(str(product["image"]), row),
            f"{plain(shortened(str(product['designation'])))} <sub>row&nbsp;{row}</sub>",
            plain(name_of(answers.codes[truth])),
            _answer(one, truth, answers.codes),
            _answer(other, truth, answers.codes),
            f"{one[truth]:.2f} → {other[truth]:.2f}",
        ]


def _answer(probabilities: np.ndarray, truth: int, codes: Sequence[int]) -> str:
    best = int(probabilities.argmax())
    right = "right" if best == truth else plain(name_of(codes[best]))
    return f"{right} ({probabilities[best]:.0%})"
