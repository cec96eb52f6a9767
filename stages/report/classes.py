"""Which classes gained and which lost."""

from api.labels import NAMES
from stages import scoring
from stages.report.answers import Answers
from stages.report.markdown import folded, plain, signed, table

SHOWN = 8  # classes above the fold
COLUMNS = ["class", "products", "F1 of the base", "F1 here", "difference"]


def render(answers: Answers) -> str:
    """The classes that changed, those that changed most first."""
    lines = _lines(answers)
    changed = sorted((line for line in lines if line[3] != line[2]), key=_by)
    if not changed:
        return "F1 of every class is what it was."
    shown = table(COLUMNS, map(_cells, changed[:SHOWN]), numbers=4)
    parts = ["Figures of few products say little.", shown]
    if len(changed) > SHOWN:
        rest = table(COLUMNS, map(_cells, changed[SHOWN:]), numbers=4)
        parts.append(folded(f"{len(changed) - SHOWN} more classes changed", rest))
    unchanged = len(lines) - len(changed)
    if unchanged:
        parts.append(f"{unchanged} of {len(lines)} classes did not change.")
    return "\n\n".join(parts)


def name_of(code: int) -> str:
    """A class as a person knows it."""
    return f"{code} {NAMES.get(code, '')}".strip()


def _lines(answers: Answers) -> list[tuple[str, int, float, float]]:
    """Name, products and both F1 of each class that has products or was answered."""
    labels = [{"code": code, "name": ""} for code in answers.codes]
    both = [
        scoring.by_class(answers.truth, probabilities.argmax(axis=1), labels)  # type: ignore[arg-type]
        for probabilities in (answers.before, answers.after)
    ]
    return [
        (name_of(one["code"]), one["rows"], one["f1"], other["f1"])
        for one, other in zip(*both, strict=True)
        if one["rows"]
    ]


def _by(line: tuple[str, int, float, float]) -> tuple[float, str]:
    return (-abs(line[3] - line[2]), line[0])


def _cells(line: tuple[str, int, float, float]) -> list[str]:
    name, rows, before, after = line
    return [plain(name), f"{rows:,}", f"{before:.3f}", f"{after:.3f}", signed(after - before)]
