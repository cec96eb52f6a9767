"""Why a row is listed as a label candidate, in words."""

from collections.abc import Hashable, Mapping
from typing import Any

from stages.product_table import Twins
from stages.split import TEST

TWINS = 3  # rows with the same title that are named


def percent(share: float) -> str:
    """As people read it; a trace is not nothing."""
    return "< 0.1 %" if 0 < share < 0.0005 else f"{100 * share:.1f} %"  # noqa: PLR2004


def reasons(
    candidate: Mapping[Hashable, Any],
    title: str,
    twins: Twins,
    scored: Mapping[int, Mapping[Hashable, Any]],
    names: Mapping[int, str],
) -> list[str]:
    """What speaks against the label.

    Args:
        candidate: A line of `label_noise.candidates`.
        title: The product's.
        twins: Of all rows.
        scored: Lines of the held-out split's predictions by row.
        names: What to call a code.
    """
    own = percent(candidate["self_confidence"])
    other = percent(candidate["suggested_confidence"])
    suggested = names[candidate["suggested_code"]]
    found = [f"A model that never saw this row gives its label {own} and {suggested} {other}."]
    if candidate["split"] == TEST:
        found += _alone(scored[candidate["row"]], candidate["suggested_code"], suggested)
    same = twins.under_another_code(title, candidate["code"])
    found += [
        f"Row {row} ({split}) has the same title and the label {names[code]}."
        for split, row, code in same[:TWINS]
    ]
    if len(same) > TWINS:
        found.append(f"{len(same) - TWINS} more rows have the same title and another label.")
    return found


def _alone(scored: Mapping[Hashable, Any], suggested: int, name: str) -> list[str]:
    """What text and image say by themselves, where that is the suggestion."""
    agreeing = [
        modality
        for modality in ("text", "image")
        if scored[f"has_{modality}"] and scored[f"predicted_{modality}"] == suggested
    ]
    if not agreeing:
        return []
    said = " and ".join(f"the {modality} alone" for modality in agreeing)
    verb = "say" if len(agreeing) > 1 else "says"
    return [f"{said[0].upper()}{said[1:]} also {verb} {name}."]
