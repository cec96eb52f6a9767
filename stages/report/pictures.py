"""Pictures beside the page: confusion matrices, curves of training, calibration."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from sklearn.metrics import confusion_matrix

from stages.report.answers import Answers
from stages.report.markdown import image
from stages.report.revision import Revision, UnavailableError

COLOURS = 64  # of a picture; a palette takes a third of the bytes
BINS, FEWEST = 10, 5  # of confidence, and products that a bin needs to be drawn
LEAST = 0.05  # scale of differences: what is smaller must not look large
CURVES = {
    "macro F1 by epoch": "metrics/train/plots/metrics/{}/macro_f1.tsv",
    "loss by epoch": "metrics/train/plots/metrics/{}/loss.tsv",
}
SIDES = (("base", "#8a94a0", "--"), ("this revision", "#0b6bcb", "-"))


def confusions(answers: Answers, folder: Path) -> str:
    """Both confusion matrices and their difference, each row as shares of its true class."""
    before, after = (
        _shares(answers, probabilities) for probabilities in (answers.before, answers.after)
    )
    figure = Figure(figsize=(12, 3.7), layout="constrained", dpi=90)
    panels = figure.subplots(1, 3)
    for axes, title, values in (
        (panels[0], "base", before),
        (panels[1], "this revision", after),
        (panels[2], "difference", after - before),
    ):
        signed = title == "difference"
        most = max(float(np.abs(values).max()), LEAST) if signed else 1.0
        shown = axes.imshow(values, "RdBu" if signed else "Blues", vmin=-most * signed, vmax=most)
        axes.set(title=title, xlabel="answered", ylabel="true")
        axes.set_xticks(range(len(answers.codes)), answers.codes, rotation=90, fontsize=6)
        axes.set_yticks(range(len(answers.codes)), answers.codes, fontsize=6)
        figure.colorbar(shown, ax=axes, shrink=0.7)
    return _save(figure, folder / "confusion.png", "Confusion matrices of the base and now")


def _shares(answers: Answers, probabilities: np.ndarray) -> np.ndarray:
    """float64 (C, C): share of each true class that got each answer; rows without products 0."""
    counts = confusion_matrix(
        answers.truth, probabilities.argmax(axis=1), labels=range(len(answers.codes))
    )
    shares: np.ndarray = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares


def curves(before: Revision, after: Revision, answers: Answers, folder: Path) -> str:
    """Training by epoch (validation thick, training thin) and calibration of both revisions."""
    figure = Figure(figsize=(12, 3.4), layout="constrained", dpi=90)
    panels = figure.subplots(1, 3)
    missing = [
        _training(axes, title, path, (before, after))
        for axes, (title, path) in zip(panels, CURVES.items(), strict=False)
    ]
    _calibration(panels[2], answers)
    for axes in panels:
        axes.legend(frameon=False, fontsize=8)
    shown = _save(figure, folder / "curves.png", "Training and calibration of the base and now")
    reasons = sorted({reason for panel in missing for reason in panel})
    legend = "Thick: validation rows; thin: training rows."
    return "\n\n".join([shown, legend, *(f"Not drawn: {reason}." for reason in reasons)])


def _training(axes: Axes, title: str, path: str, revisions: Sequence[Revision]) -> list[str]:
    """Draws one figure of both revisions; what can't be read is told."""
    missing = []
    for revision, (name, colour, style) in zip(revisions, SIDES, strict=True):
        for part, width, label in (("eval", 2, name), ("train", 0.8, None)):
            try:
                table = pd.read_csv(io.BytesIO(revision.read(path.format(part))), sep="\t")
            except UnavailableError as error:
                missing.append(str(error))
                continue
            axes.plot(table["step"], table[table.columns[-1]], style, color=colour,
                      linewidth=width, label=label)  # fmt: skip
    axes.set(title=title, xlabel="epoch")
    return missing


def _calibration(axes: Axes, answers: Answers) -> None:
    """Accuracy by confidence; on the diagonal a model is as sure as it may be."""
    axes.plot([0, 1], [0, 1], color="#d9dfe6")
    for probabilities, (name, colour, style) in zip(
        (answers.before, answers.after), SIDES, strict=True
    ):
        confidence = probabilities.max(axis=1)
        bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
        hits = probabilities.argmax(axis=1) == answers.truth
        grouped = pd.DataFrame({"sure": confidence, "right": hits}).groupby(bins)
        shown = grouped.mean()[grouped.size() >= FEWEST]
        axes.plot(shown["sure"], shown["right"], style, marker="o", markersize=4, color=colour,
                  label=name)  # fmt: skip
    axes.set(title="calibration", xlabel="mean confidence", ylabel="share of right answers")


def _save(figure: Figure, path: Path, alternative: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    small = Image.open(buffer).convert("RGB").quantize(COLOURS)
    small.save(path, "PNG", optimize=True)
    return image(path.name, alternative)
