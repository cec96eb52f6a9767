"""Titles and descriptions of the generated catalogue, put together from vocabulary.yaml."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from html.entities import codepoint2name

import numpy as np

from stages.sample.draws import SLOTS, TEXT, chance, generator, pick, some, weighted
from stages.sample.plan import TextPlan, colour_of, groups_of, vocabulary

TITLE_LENGTH = 90  # characters at which the marketplace cuts a title
TAILS = 4  # most of what a seller adds to a title: colour, size, brand, occasion
FEWEST, MOST = (2, 2, 1), (5, 8, 6)  # sentences, specifications, blurbs of a description
TITLED = 0.5  # descriptions that begin with the title
QUOTES, ACCENTS = 0.45, 0.15  # descriptions that write these as HTML entities
DAMAGE = {"misread": 0.02, "?": 0.02, "¿": 0.01, "entities": 0.02, "": 0.93}
MARKUP = (  # what stands before, between and after the parts of a description
    ("", " ", ""),
    ("", "", ""),
    ("", "<br>", ""),
    ("<b>", "<br /> ", "</b>"),
    ("<p>", "</p> <p>", "</p>"),
    ("<ul><li>", "</li><li>", "</li></ul>"),
    ("", " <br/>&nbsp;", ""),
)
CHANGEABLE = ("colour", "size", "seller")  # what makes a variant

_PLACE = re.compile(r"\{([^{}]+)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_GLUED = re.compile(r" +(?=[@_®]|-\w)")  # sellers write their codes onto the last word
_LOOSE = re.compile(r"(^[\s:,-]+)|([\s:,-]+$)")
_INITIAL = re.compile(r"(?<![\w'’])\w")
_ACCENTED = re.compile(r"[^\x00-\x7f]")

Scopes = Sequence[Mapping[str, Sequence[str]]]


def write(seed: int, part: int, plan: TextPlan) -> tuple[str, str]:
    """A title, and a description or ''; the same plan gives the same text."""
    scopes, slots = _scopes(plan), _slots(seed, part, plan)
    rng = generator(seed, part, plan.row, TEXT)
    title = _title(rng, plan, scopes, slots)
    body = _describe(rng, plan, scopes, slots, title)
    return _damage(rng, title, body)


def title_of(seed: int, part: int, plan: TextPlan) -> str:
    """The title as it was before it was damaged."""
    rng = generator(seed, part, plan.row, TEXT)
    return _title(rng, plan, _scopes(plan), _slots(seed, part, plan))


def _scopes(plan: TextPlan) -> Scopes:
    """Where words are looked up: the class, the chosen group, its other groups, all classes."""
    words = vocabulary()[plan.language]
    groups = sorted(groups_of(plan.code), key=lambda name: name != plan.group)
    own = [words[str(plan.code)]] if plan.title == "own" else []
    return [*own, *(words[name] for name in groups), words["any"]]


def _slots(seed: int, part: int, plan: TextPlan) -> dict[str, str]:
    scopes = _scopes(plan)
    rng = generator(seed, part, plan.variant, SLOTS)
    colour = vocabulary()["colours"][colour_of(seed, part, plan.variant)]
    drawn = {name: _expand(rng, "{" + name + "}", scopes, {}) for name in ("size", "seller")}
    return {"colour": colour[plan.language], **drawn}


def _expand(
    rng: np.random.Generator, template: str, scopes: Scopes, slots: Mapping[str, str]
) -> str:
    return _PLACE.sub(partial(_fill, rng, scopes, slots), template)


def _fill(
    rng: np.random.Generator, scopes: Scopes, slots: Mapping[str, str], match: re.Match[str]
) -> str:
    name = match[1]
    if name in slots:
        return slots[name]
    if bounds := _RANGE.fullmatch(name):
        return str(rng.integers(int(bounds[1]), int(bounds[2]) + 1))
    items = next(scope[name] for scope in scopes if name in scope)
    return _expand(rng, pick(rng, items), scopes, slots)


def _title(
    rng: np.random.Generator, plan: TextPlan, scopes: Scopes, slots: Mapping[str, str]
) -> str:
    words = vocabulary()[plan.language]
    source = {"own": str(plan.code), "shared": plan.group, "any": "any"}[plan.title]
    template = pick(rng, words[source]["title"])
    if plan.variant != plan.row and not any("{" + name + "}" in template for name in CHANGEABLE):
        template += " - {colour}"
    tails = next(scope["tail"] for scope in scopes if "tail" in scope)
    for tail in some(rng, tails, int(rng.integers(TAILS + 1))):
        if not set(_PLACE.findall(tail)) & set(_PLACE.findall(template)):
            template += " " + tail
    text = _expand(rng, template, scopes, slots)
    text = _LOOSE.sub("", _GLUED.sub("", " ".join(text.split())))
    return _case(text, vocabulary()["classes"][plan.code].get("casing", ""))[:TITLE_LENGTH].rstrip()


def _case(text: str, casing: str) -> str:
    if casing == "plain":
        return text[:1].upper() + text[1:]
    return _INITIAL.sub(lambda match: match[0].upper(), text.lower())


def _describe(
    rng: np.random.Generator,
    plan: TextPlan,
    scopes: Scopes,
    slots: Mapping[str, str],
    title: str,
) -> str:
    if plan.description == "missing":
        return ""
    if plan.description == "copied":
        return title
    words = vocabulary()[plan.language]
    source = str(plan.code) if plan.description == "telling" else plan.group or "any"
    told = words[source].get("sentence", []) if source != "any" else []
    known = [words[str(plan.code)], *scopes]
    specs = next(scope["spec"] for scope in scopes if "spec" in scope)
    counts = rng.integers(FEWEST, MOST, endpoint=True)
    lists = (told, specs, words["any"]["blurb"])
    parts = [
        part
        for items, count in zip(lists, counts, strict=True)
        for part in some(rng, items, int(count))
    ]
    if chance(rng, TITLED):
        parts.insert(0, title)
    return _markup(rng, [_sentence(_expand(rng, part, known, slots)) for part in parts])


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _markup(rng: np.random.Generator, parts: Sequence[str]) -> str:
    """The parts as sellers' tools join them: plain, or as HTML, tidy or not."""
    before, separator, after = pick(rng, MARKUP)
    text = before + separator.join(parts) + after
    quotes, accents = chance(rng, QUOTES), chance(rng, ACCENTS)
    text = text.replace("'", "&#39;") if quotes else text
    return _entities(text) if accents else text


def _entities(text: str) -> str:
    return _ACCENTED.sub(lambda match: f"&{_entity(ord(match[0]))};", text)


def _entity(point: int) -> str:
    return codepoint2name.get(point, f"#{point}")


def _damage(rng: np.random.Generator, title: str, body: str) -> tuple[str, str]:
    """A few texts lose their accents on the way: UTF-8 read as Latin-1, or unknown to a font."""
    damage = weighted(rng, DAMAGE)
    if damage == "misread":
        title, body = _misread(title), _misread(body)
    elif damage == "entities":
        title = title.replace("'", "&#39;").replace(" & ", " &amp; ")
    elif damage:
        title, body = _ACCENTED.sub(damage, title), _ACCENTED.sub(damage, body)
    return title[:TITLE_LENGTH].rstrip(), body


def _misread(text: str) -> str:
    return text.encode("utf-8").decode("latin-1")
