"""Products in HTML: photo, title, and some facts about each."""

from collections.abc import Iterable, Sequence
from html import escape

import pandas as pd

from stages.thumbnails import SIDE, Thumbnails

TITLE = 160  # characters of a title that are shown
Fact = tuple[str, str]

STYLE = f"""
ul.cards {{ list-style: none; padding: 0; display: grid; gap: .8rem 1.6rem;
  grid-template-columns: repeat(auto-fill, minmax(21rem, 1fr)); }}
ul.cards > li {{ display: flex; gap: .8rem; }}
.photo {{ flex: none; width: {SIDE}px; height: {SIDE}px; background: #eef1f4; color: #5b6773;
  font-size: .75rem; display: flex; align-items: center; justify-content: center; }}
.product {{ min-width: 0; overflow-wrap: anywhere; font-size: .9rem; line-height: 1.4; }}
.product bdi {{ font-weight: 600; }}
.product dl {{ margin: .2rem 0 0; display: grid; grid-template-columns: auto 1fr; gap: 0 .6rem; }}
.product dt {{ color: #5b6773; }} .product dd {{ margin: 0; }}
"""


class Cards:
    """Writes products of a table.

    Args:
        products: As `product_table.read` gives them.
        thumbnails: Their photos.
    """

    def __init__(self, products: pd.DataFrame, thumbnails: Thumbnails) -> None:
        self.products = products
        self.thumbnails = thumbnails

    def cards(self, facts: Iterable[tuple[str, int, Sequence[Fact]]]) -> str:
        """A list of products: split, row and facts of each; every value is escaped."""
        items = [f"<li>{self._card(split, row, lines)}</li>" for split, row, lines in facts]
        return '<ul class="cards">\n{}\n</ul>'.format("\n".join(items)) if items else ""

    def title(self, split: str, row: int) -> str:
        """The title of a product, as its seller wrote it."""
        return str(self.products.at[(split, row), "designation"])

    def _card(self, split: str, row: int, lines: Sequence[Fact]) -> str:
        photo = self._photo(str(self.products.at[(split, row), "image"]))
        title = escape(shortened(self.title(split, row)))
        text = "".join(f"<dt>{escape(term)}</dt><dd>{escape(said)}</dd>" for term, said in lines)
        return (
            f'{photo}<div class="product"><bdi>{title}</bdi><br>'
            f"row {row}, {escape(split)}<dl>{text}</dl></div>"
        )

    def _photo(self, name: str) -> str:
        uri = self.thumbnails.uri(name)
        if uri is None:
            return '<span class="photo">no photo</span>'
        return f'<img class="photo" width="{SIDE}" height="{SIDE}" alt="" src="{uri}">'


def shortened(title: str) -> str:
    """A title on one line, cut where it gets long."""
    line = " ".join(title.split())
    if not line:
        return "(no title)"
    return line if len(line) <= TITLE else line[: TITLE - 1] + "…"
