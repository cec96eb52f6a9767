"""How well the two revisions answer, and whether the difference may be chance."""

from collections.abc import Mapping
from typing import Any

from stages import paired
from stages.paired import Difference
from stages.report.answers import Answers
from stages.report.markdown import signed, table
from stages.report.revision import Revision

NAMES = {
    "weighted_f1": "weighted F1",
    "macro_f1": "macro F1",
    "accuracy": "accuracy",
    "negative_log_likelihood": "negative log-likelihood (less is better)",
    "expected_calibration_error": "expected calibration error (less is better)",
}
DECIDING = ("weighted_f1", "macro_f1")  # what the challenge and SIGIR rank by
RESAMPLES, SEED = 1000, 42  # where params.yaml has no section `evaluate`
Differences = Mapping[str, Difference]


def differences(answers: Answers, params: Mapping[str, Any]) -> Differences:
    """Each figure of both revisions, on the same products, with the interval of its difference."""
    section = params.get("evaluate", {})
    return paired.compare(
        answers.truth,
        answers.before,
        answers.after,
        section.get("resamples", RESAMPLES),
        section.get("seed", SEED),
    )


def render(found: Differences, answers: Answers) -> str:
    """The table, and what it is of."""
    rows = [
        [
            NAMES[name],
            f"{found[name].before:.3f}",
            f"{found[name].after:.3f}",
            signed(found[name].difference),
            f"{signed(found[name].low)} to {signed(found[name].high)}",
        ]
        for name in NAMES
    ]
    columns = ["", "base", "this revision", "difference", "95 % interval"]
    text = f"{of(answers)}; the interval is a paired bootstrap over them."
    if not answers.whole:
        text += (
            "\n\n**The held-out split or its labels changed: figures of the two runs are not "
            f"comparable as they stand.** Here {'; '.join(answers.notes)}."
        )
    return f"{text}\n\n{table(columns, rows, numbers=4)}"


def of(answers: Answers) -> str:
    """The products that are compared."""
    return f"On the same {len(answers.rows):,} held-out products"


def first(after: Revision, figures: Mapping[str, Any]) -> str:
    """The table where there is nothing to compare with."""
    fused = figures["fused"]
    rows = [[NAMES[name], f"{fused[name]:.3f}"] for name in NAMES if name in fused]
    low, high = fused["weighted_f1_low"], fused["weighted_f1_high"]
    text = f"On {figures['rows']:,} held-out products; weighted F1 between {low:.3f} and {high:.3f}"
    return f"{text} (95 % interval).\n\n{table(['', str(after)], rows, numbers=1)}"
