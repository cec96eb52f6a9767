"""Photos of the generated catalogue, drawn from looks.yaml: no real product is on them."""

import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from stages.sample import camera, scenes
from stages.sample.draws import PHOTO, chance, generator, pick, weighted
from stages.sample.objects import paint
from stages.sample.plan import PhotoPlan, colour_of, vocabulary
from stages.sample.settings import AMATEUR, background
from stages.sample.text import title_of

LOOKS = Path(__file__).with_name("looks.yaml")

SHADOWS = 0.5  # catalogue photos whose object casts one
BADGES = 0.12  # photos with something laid over them
MIXED = 0.35  # lots of different things rather than of one kind
QUALITIES = (68, 76, 82, 88)  # of JPEG; one is drawn a photo


@cache
def looks() -> Any:
    """The parsed looks.yaml."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(LOOKS.read_text(encoding="utf-8"), loader)  # noqa: S506


def photograph(seed: int, part: int, plan: PhotoPlan) -> bytes | None:
    """The image file of a photo, or None where the archive lacks it.

    Args:
        seed: Of the catalogue.
        part: 0 is train, 1 is test.
        plan: What is on it; the same plan gives the same bytes.
    """
    if plan.defect in {"absent", "empty"}:
        return None if plan.defect == "absent" else b""
    rng = generator(seed, part, plan.row, PHOTO)
    colour = vocabulary()["colours"][colour_of(seed, part, plan.variant)]["rgb"]
    photo = _compose(rng, _look(plan), colour, title_of(seed, part, plan.text))
    return _encode(photo, pick(rng, QUALITIES), plan.defect)


def _look(plan: PhotoPlan) -> Mapping[str, Any]:
    look: Mapping[str, Any]
    if plan.kind == "blank":
        look = looks()["blank"]
    elif plan.kind == "shared":
        look = looks()["shared"][plan.group]
    else:
        look = looks()["classes"][plan.code]
    return look


def _compose(
    rng: np.random.Generator, look: Mapping[str, Any], colour: list[int], words: str
) -> Image.Image:
    setting = weighted(rng, look["settings"])
    amateur = setting in AMATEUR
    scene = background(rng, setting)
    lot = chance(rng, look["lots"])
    places = scenes.several(rng, setting) if lot else scenes.single(rng, setting)
    mixed = chance(rng, MIXED)
    name = weighted(rng, look["objects"])
    shadow = rng.uniform(0.3, 0.6) if amateur or chance(rng, SHADOWS) else 0.0
    parts = {**looks()["objects"], **looks()["blank_objects"]}
    for place in places:
        if mixed:
            name = weighted(rng, look["objects"])
        thing = paint(rng, parts[name], camera.tone_of(rng, colour), words, place.side)
        scenes.put(rng, scene, thing, place, float(shadow))
    if chance(rng, BADGES):
        camera.badge(rng, scene)
    return camera.develop(rng, scene, amateur)


def _encode(photo: Image.Image, quality: int, defect: str) -> bytes:
    """A JPEG file, or what the defect makes of it."""
    buffer = io.BytesIO()
    if defect == "png":
        photo.resize((250, 250)).save(buffer, "PNG")
        return buffer.getvalue()
    mode = {"cmyk": "CMYK", "grey": "L"}.get(defect, "RGB")
    photo.convert(mode).save(buffer, "JPEG", quality=quality)
    data = buffer.getvalue()
    return data[: len(data) * 2 // 5] if defect == "truncated" else data
