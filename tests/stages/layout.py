"""A tiny catalogue in the challenge's layout, for the tests of the import stage."""

import io
import random
import zipfile
from pathlib import Path

HEADER = ",designation,description,productid,imageid\n"
TABLES = {
    "X_train_update.csv": HEADER + '3,Lampe,"<p>Une lampe, rouge</p>",11,21\n5,Piscine,,12,22\n',
    "X_test_update.csv": HEADER + "9,Livre,,13,23\n",
    "Y_train_CVw08PX.csv": ",prdtypecode\n3,2060\n5,2583\n",
}
IMAGES = {
    "image_train/image_21_product_11.jpg": b"first",
    "image_train/image_22_product_12.jpg": b"second",
    "image_test/image_23_product_13.jpg": b"third",
}


def packed(images: dict[str, bytes]) -> bytes:
    """A zip file of some entries."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in images.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def catalogue(image_bytes: int = 0) -> dict[str, bytes]:
    """The four files; the archive holds so many bytes of noise on top of its images."""
    noise = random.Random(7).randbytes(image_bytes)
    images = IMAGES | {
        f"image_train/image_{1000 + start}_product_1.jpg": noise[start : start + 5_000_000]
        for start in range(0, image_bytes, 5_000_000)
    }
    tables = {name: text.encode() for name, text in TABLES.items()}
    return tables | {"images.zip": packed(images)}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """Writes files into a new folder."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
