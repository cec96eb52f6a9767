"""From a row of a file to a product to classify, under the same rules as POST /predict."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from api.archive import image_name
from api.batches.images import Images
from api.batches.raw import Raw
from api.batches.source import Rows
from api.problems import Problem
from api.product_form import check_sizes, validated
from api.schemas import LARGEST, ProductInput
from api.settings import Settings

LONGEST = 200
"""Characters of an identifier that are repeated in an answer."""


@dataclass(frozen=True)
class Ids:
    """What a row calls itself, to be told again in its answer."""

    product_identifier: str | None = None
    product_id: int | None = None
    imageid: int | None = None


@dataclass(frozen=True)
class Row:
    """A product, or the problem with it; `number` counts from 1, `size` in bytes."""

    number: int
    size: int
    ids: Ids
    product: ProductInput | None = None
    image_file: str | None = None
    problem: Problem | None = None

    @property
    def image_files(self) -> tuple[str, bool] | None:
        """The name under which to look for the image, and whether it has to be there."""
        if self.image_file:
            return self.image_file, True
        if self.ids.imageid is None or self.ids.product_id is None:
            return None
        return image_name(self.ids.imageid, self.ids.product_id), False

    def without_image(self) -> "Row":
        """The same, for keeping: an image may have megabytes."""
        if self.product is None or self.product.image is None:
            return self
        return replace(self, product=self.product.model_copy(update={"image": None}))


def products(rows: Rows, start: int, images: Images, settings: Settings) -> Iterator[Row]:
    """The rows from the one of that number on."""
    for number, raw in islice(enumerate(rows, 1), start - 1, None):
        yield _row(number, raw, images, settings)


def _row(number: int, raw: Raw, images: Images, settings: Settings) -> Row:
    fields = dict(raw.fields)
    ids = _ids(fields)
    if raw.problem:
        return Row(number, raw.size, ids, problem=raw.problem)
    image = fields.get("image")
    named = raw.names_image or (isinstance(image, str) and image in images)
    file = str(fields.pop("image")) if named else None
    try:
        product = validated(fields)
        check_sizes(product, settings)
    except Problem as problem:
        return Row(number, raw.size, ids, problem=problem)
    ids = Ids(product.product_identifier, product.product_id, product.imageid)
    return Row(number, raw.size, ids, product, file)


def _ids(fields: dict[str, Any]) -> Ids:
    """As far as they can be told, for a row that is wrong otherwise."""
    name = fields.get("product_identifier")
    return Ids(
        name[:LONGEST] if isinstance(name, str) else None,
        _number(fields.get("product_id")),
        _number(fields.get("imageid")),
    )


def _number(value: Any) -> int | None:
    text = str(value)
    if not isinstance(value, str | int) or not text.isdecimal() or len(text) > len(str(LARGEST)):
        return None
    return int(text) if int(text) <= LARGEST else None
