"""The text and the image of each product, and what had to be done to them."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import ftfy
import numpy as np
import pandas as pd

from api.archive import image_name
from api.inputs import FIELD_SEPARATOR, join_text
from stages.progress import Progress
from stages.quarantine import Fault, Reason, faults

_TAG = re.compile(r"<[/!?]?[A-Za-z-]")
_ENTITY = re.compile(r"&(#[0-9]+|#[xX][0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]*);")
_NON_ASCII = re.compile(r"[^\x00-\x7f\s]")


def add_text(table: pd.DataFrame, name: str) -> tuple[pd.DataFrame, list[Fault]]:
    """Adds the column `text`, made row by row just as serving makes it.

    Args:
        table: With `designation` and `description`, indexed by position.
        name: Of the table, for the progress bar.

    Returns:
        The table, and a fault for each row and kind of repair.
    """
    texts: list[str] = []
    found: list[Fault] = []
    fields = zip(table.index, table["designation"], table["description"], strict=True)
    for position, title, body in Progress(fields, total=len(table), desc=name, unit=" products"):
        text = join_text(title, body)
        texts.append(text)
        found += _text_faults(position, title, body, text)
    return table.assign(text=pd.Series(texts, table.index, dtype="str")), found


def _text_faults(position: int, title: str, body: str, text: str) -> list[Fault]:
    """What cleaning did to one product's text."""
    clean_title, _, clean_body = text.partition(FIELD_SEPARATOR)
    in_title, in_body = _repairs(title, clean_title), _repairs(body, clean_body)
    places = dict.fromkeys(in_title, "in title")
    places |= dict.fromkeys(in_body, "in description")
    places |= dict.fromkeys(in_title & in_body, "in title and description")
    return [Fault(position, reason, place) for reason, place in places.items()]


def _repairs(raw: str, clean: str) -> set[Reason]:
    """What cleaning changed in a field, spaces aside."""
    if not raw or " ".join(raw.split()) == clean:
        return set()
    checks = {
        Reason.HTML: _TAG.search(raw),
        Reason.ENTITIES: _ENTITY.search(raw),
        Reason.MOJIBAKE: _is_mojibake(raw, clean),
    }
    return {reason for reason, hit in checks.items() if hit} or {Reason.CHARACTERS}


def _is_mojibake(raw: str, clean: str) -> bool:
    """Whether characters were decoded wrongly; asks ftfy, which is slow, only if some are gone."""
    gone = set(_NON_ASCII.findall(raw)).difference(clean)
    return bool(gone) and ftfy.fix_encoding(raw) != raw


def add_image(table: pd.DataFrame, members: Mapping[str, Any]) -> tuple[pd.DataFrame, list[Fault]]:
    """Adds the columns `image` and `identity`; an image that can't be there is masked by ''.

    Args:
        table: With `imageid` and `productid`, indexed by position.
        members: The archive's entries by image name.

    Returns:
        The table, and a fault for each image masked. `identity` is the CRC-32 and size of the
        image's bytes, as the archive's directory has them, None without an image.
    """
    names = [image_name(*ids) for ids in zip(table["imageid"], table["productid"], strict=True)]
    sizes = np.array([members[name].file_size if name in members else -1 for name in names], int)
    identities = pd.Series(
        [
            (members[name].CRC, size) if size > 0 else None
            for name, size in zip(names, sizes, strict=True)
        ],
        table.index,
        dtype=object,
    )
    images = pd.Series(np.where(sizes > 0, names, ""), table.index, dtype="str")
    found = [
        *_masked(table, names, sizes == -1, Reason.NO_IMAGE),
        *_masked(table, names, sizes == 0, Reason.EMPTY_IMAGE),
    ]
    return table.assign(image=images, identity=identities), found


def _masked(table: pd.DataFrame, names: list[str], mask: np.ndarray, reason: Reason) -> list[Fault]:
    where = np.flatnonzero(mask)
    return faults(table.index[where], reason, [names[position] for position in where])


def unusable(table: pd.DataFrame) -> pd.Index:
    """Positions of rows with neither text nor image."""
    return table.index[(table["text"] == "") & (table["image"] == "")]


def conflicting(table: pd.DataFrame) -> list[Fault]:
    """Rows whose text, case aside, also stands under another code."""
    said = table[table["text"] != ""]
    keys = pd.Series([_fingerprint(text) for text in said["text"]], said.index, dtype=object)
    keys = keys[keys.duplicated(keep=False)]
    codes = said.loc[keys.index, "code"].groupby(keys)
    mixed = keys.index[codes.transform("nunique") > 1]
    listed = codes.agg(lambda group: " and ".join(_distinct(group)))
    return faults(mixed, Reason.CONFLICT, keys[mixed].map(listed))


def _fingerprint(text: str) -> bytes:
    """A few bytes to compare instead of a text."""
    return hashlib.blake2b(text.casefold().encode(), digest_size=16).digest()


def _distinct(codes: pd.Series) -> list[str]:
    return [str(code) for code in sorted(set(codes))]
