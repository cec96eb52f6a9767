"""Answers of models whose true quality is known: drawn from a large population."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stages.paired import Parts
from stages.promotion.answers import Pair

FREQUENCIES = np.array([31, 25, 17, 8, 27, 40, 8, 49, 21, 50, 25, 32], float)
CLASSES = len(FREQUENCIES)
ROWS = 20_000
SKILL = 3.4
SHARED = 0.8  # of the noise, between two models: they err on the same rows


@dataclass(frozen=True)
class Population:
    """Rows from which tests of `rows` are drawn, and the noise of two models on them."""

    truth: np.ndarray
    noises: tuple[np.ndarray, np.ndarray]

    @classmethod
    def create(cls, seed: int) -> "Population":
        """Classes as frequent as the catalogue's; noise that both models mostly share."""
        generator = np.random.default_rng(seed)
        truth = generator.choice(CLASSES, ROWS, p=FREQUENCIES / FREQUENCIES.sum())
        shared, *own = generator.normal(size=(3, ROWS, CLASSES))
        noises = [SHARED * shared + np.sqrt(1 - SHARED**2) * each for each in own]
        return cls(truth, (noises[0], noises[1]))

    def answers(self, skill: float, model: int = 1) -> np.ndarray:
        """Probabilities, float64 (ROWS, CLASSES), of the first or the second model."""
        scores = self.noises[model].copy()
        scores[np.arange(ROWS), self.truth] += skill
        scores *= 2.5  # about as sure as it is right
        exponents = np.exp(scores - scores.max(axis=1, keepdims=True))
        made: np.ndarray = exponents / exponents.sum(axis=1, keepdims=True)
        return made

    def figure(self, answers: np.ndarray, name: str) -> float:
        """A figure of the whole population."""
        parts = Parts.of(self.truth, answers, 15)
        return float(parts.figures(np.ones((1, ROWS)))[name][0])

    def worse_by(self, margin: float, name: str) -> np.ndarray:
        """Answers whose figure is worse than the first model's by just the margin; 0 is equal."""
        wanted = self.figure(self.answers(SKILL, 0), name)
        sign = 1 if name == "negative_log_likelihood" else -1
        low, high = SKILL - 2, SKILL + 0.5
        for _ in range(14):
            middle = (low + high) / 2
            worse = sign * (self.figure(self.answers(middle), name) - wanted)
            low, high = (middle, high) if worse > margin else (low, middle)
        return self.answers(high)

    def draws(self, after: np.ndarray, rows: int, times: int) -> Iterator[Pair]:
        """Test splits drawn from the population, answered by the first model and by another."""
        before, generator = self.answers(SKILL, 0), np.random.default_rng(times)
        for _ in range(times):
            at = generator.integers(ROWS, size=rows)
            yield Pair(np.arange(CLASSES), self.truth[at], before[at], after[at])
