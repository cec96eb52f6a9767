"""The product type codes: their names, and the one order in which models put them."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypedDict

NAMES = {
    10: "Livres d'occasion",
    40: "Jeux vidéo (rétro, import, occasion)",
    50: "Accessoires gaming",
    60: "Consoles de jeu",
    1140: "Figurines, pop culture",
    1160: "Cartes à collectionner",
    1180: "Jeux de rôle, figurines de jeu",
    1280: "Jouets pour enfants",
    1281: "Jeux de société",
    1300: "Modélisme et drones",
    1301: "Bébé (chaussettes), jeux de café",
    1302: "Jeux et loisirs de plein air",
    1320: "Puériculture",
    1560: "Mobilier d'intérieur",
    1920: "Linge de maison",
    1940: "Alimentation",
    2060: "Décoration d'intérieur",
    2220: "Animalerie",
    2280: "Journaux et magazines",
    2403: "Lots de livres, BD, magazines",
    2462: "Lots de consoles et jeux vidéo",
    2522: "Papeterie et bureau",
    2582: "Mobilier de jardin",
    2583: "Piscine et spa",
    2585: "Bricolage, outillage de jardin",
    2705: "Livres neufs",
    2905: "Jeux PC dématérialisés",
}


class Label(TypedDict):
    """One class: the marketplace's code, and its name in French."""

    code: int
    name: str


def ordered(codes: Iterable[int]) -> list[Label]:
    """Labels in the order of model outputs: by code, as a number, each once."""
    return [Label(code=code, name=NAMES.get(code, str(code))) for code in sorted(set(codes))]


def dumps(labels: Sequence[Label]) -> str:
    """The text of labels.json; the same labels give the same bytes."""
    return json.dumps(list(labels), ensure_ascii=False, indent=1) + "\n"


def write(labels: Sequence[Label], path: Path) -> None:
    """Writes labels.json."""
    path.write_text(dumps(labels), encoding="utf-8")


def read(path: Path) -> list[Label]:
    """Reads labels.json."""
    labels: list[Label] = json.loads(path.read_text(encoding="utf-8"))
    return labels
