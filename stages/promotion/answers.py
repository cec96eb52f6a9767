"""What a revision's bundle answered on held-out rows, and the answers of two on the same rows."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from api.errors import ProductCodeError

COLUMN = re.compile(r"log_(\d+)")


class AnswersError(ProductCodeError):
    """A table of predictions that isn't one."""


@dataclass(frozen=True)
class Answers:
    """N rows: `row` int64 (N,), `code` int64 (N,), the true ones, `probabilities` float32 (N, C).

    `codes` int64 (C,) are those that the bundle answers with.
    """

    row: np.ndarray
    code: np.ndarray
    codes: np.ndarray
    probabilities: np.ndarray

    @classmethod
    def read(cls, path: Path) -> "Answers":
        """Of the predictions.parquet that `evaluate` wrote.

        Raises:
            AnswersError: It lacks columns: another version of `evaluate` wrote it.
        """
        return cls.of(pd.read_parquet(path), str(path))

    @classmethod
    def of(cls, table: pd.DataFrame, name: str = "predictions") -> "Answers":
        """Of such a table."""
        columns = [match[0] for match in map(COLUMN.fullmatch, table.columns) if match]
        if not columns or not {"row", "code"} <= set(table.columns):
            raise AnswersError(
                f"{name} has columns {sorted(map(str, table.columns))[:6]}..., expected row, code "
                "and log_<code>: run `dvc repro evaluate` at that revision"
            )
        return cls(
            table["row"].to_numpy(np.int64),
            table["code"].to_numpy(np.int64),
            np.array([int(column.removeprefix("log_")) for column in columns], np.int64),
            np.exp(table[columns].to_numpy(np.float32)),
        )

    @property
    def predicted(self) -> np.ndarray:
        """Codes, int64 (N,)."""
        best: np.ndarray = self.codes[self.probabilities.argmax(axis=1)]
        return best

    def only(self, rows: np.ndarray) -> "Answers":
        """Those of some rows, in the order of `rows`."""
        position = pd.Index(self.row).get_indexer(pd.Index(rows))
        if (position < 0).any():
            raise AnswersError(f"rows {rows[position < 0][:5]}... have no answer")
        return Answers(
            self.row[position], self.code[position], self.codes, self.probabilities[position]
        )


@dataclass(frozen=True)
class Pair:
    """Two bundles on the same rows, as `stages.paired.compare` takes them.

    `truth` int64 (N,), positions in `codes`; `before` and `after` float32 (N, len(codes)).
    """

    codes: np.ndarray
    truth: np.ndarray
    before: np.ndarray
    after: np.ndarray


def same_rows(first: Answers, second: Answers) -> bool:
    """Whether both answered the same rows with the same true codes, in whatever order."""
    orders = first.row.argsort(), second.row.argsort()
    return np.array_equal(first.row[orders[0]], second.row[orders[1]]) and np.array_equal(
        first.code[orders[0]], second.code[orders[1]]
    )


def pair(champion: Answers, candidate: Answers) -> Pair:
    """Both on the champion's rows, which the candidate has to have answered too.

    A code that one of them doesn't know has probability 0 there.
    """
    candidate = candidate.only(champion.row)
    codes = np.union1d(champion.codes, candidate.codes)
    truth = np.searchsorted(codes, candidate.code)
    return Pair(codes, truth, _spread(champion, codes), _spread(candidate, codes))


def _spread(answers: Answers, codes: np.ndarray) -> np.ndarray:
    spread = np.zeros((len(answers.row), len(codes)), np.float32)
    spread[:, np.searchsorted(codes, answers.codes)] = answers.probabilities
    return spread
