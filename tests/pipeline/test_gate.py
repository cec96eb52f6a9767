"""The gate: simulated models of known quality, and revisions of a small project."""

import json
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
import yaml

from stages.paired import Difference
from stages.promote import main
from stages.promotion.answers import Answers, AnswersError, pair, same_rows
from stages.promotion.costs import Cost, costs
from stages.promotion.criteria import PromotionParams, floors, not_worse, quality
from tests.pipeline import project, tiny_project
from tests.pipeline.simulated import Population

ROOT = Path(__file__).parents[2]
PARAMS = PromotionParams.model_validate(
    yaml.safe_load((ROOT / "conf/promotion/default.yaml").read_text()) | {"resamples": 100}
)
FIGURES = ("macro_f1", "weighted_f1", "negative_log_likelihood")
TIMES, ROWS = 200, 500


@pytest.fixture(scope="module")
def population() -> Population:
    return Population.create(seed=1)


def judged(population: Population, after: np.ndarray, times: int = TIMES) -> list[dict]:
    """The criteria by name, of each test split."""
    return [
        {criterion.name: criterion for criterion in quality(drawn, PARAMS)}
        for drawn in population.draws(after, ROWS, times)
    ]


@pytest.mark.parametrize("name", FIGURES)
def test_a_model_worse_by_the_margin_passes_no_more_often_than_stated(population, name) -> None:
    """200 candidates that are worse by the whole margin; at 5 % more than 18 is 1 chance in 200."""
    margin = getattr(PARAMS.margins, name)
    found = judged(population, population.worse_by(margin, name))
    assert sum(criteria[name].passed for criteria in found) <= 18
    assert sum(all(each.passed for each in criteria.values()) for criteria in found) <= 18


def test_an_equal_model_is_refused_as_often_as_the_gate_says(population) -> None:
    """200 candidates of the same quality with other answers: the stated chance is kept."""
    found = judged(population, population.worse_by(0, "weighted_f1"))
    for name in FIGURES:
        refused = np.mean([not criteria[name].passed for criteria in found])
        stated = np.mean([criteria[name].equal_refused for criteria in found])
        assert refused == pytest.approx(stated, abs=0.11), name  # three standard deviations


def test_a_clearly_better_model_always_passes(population) -> None:
    found = judged(population, population.answers(4.2), 40)
    assert all(each.passed for criteria in found for each in criteria.values())


def test_a_clearly_worse_model_never_passes(population) -> None:
    found = judged(population, population.answers(2.4), 40)
    for criteria in found:
        assert not criteria["macro_f1"].passed
        assert "worse by" in criteria["macro_f1"].reason


def test_few_rows_say_that_they_do_not_tell(population) -> None:
    drawn = next(population.draws(population.worse_by(0, "weighted_f1"), 60, 1))
    rows, macro, *_ = quality(drawn, PARAMS)
    assert not rows.passed
    assert "200 rows are needed" in rows.reason
    assert macro.equal_refused > 0.5


@pytest.mark.parametrize(
    ("low", "high", "passed", "words"),
    [
        (-0.01, 0.02, True, "worse by 0.010 at most (95% sure), 0.03 allowed"),
        (
            -0.04,
            0.02,
            False,
            "worse by 0.010 here, which may be chance, but 0.040 can't be ruled out",
        ),
        (-0.06, -0.02, False, "worse by 0.010, perhaps by 0.060"),
    ],
)
def test_it_says_why(low, high, passed, words) -> None:
    found = not_worse("macro_f1", Difference(0.9, 0.89, -0.01, low, high), 0.03, PARAMS)
    assert found.passed == passed
    assert words in found.reason


def test_the_same_answers_are_never_refused_by_chance() -> None:
    found = not_worse("macro_f1", Difference(0.9, 0.9, 0, 0, 0), 0.03, PARAMS)
    assert found.passed
    assert found.equal_refused == 0


def answered(code: list[int], predicted: list[int], codes: list[int], first: int = 0) -> Answers:
    """Sure answers of some rows."""
    probabilities = np.eye(len(codes), dtype=np.float32)[[codes.index(each) for each in predicted]]
    rows = np.arange(first, first + len(code))
    return Answers(rows, np.array(code), np.array(codes), probabilities)


def test_a_class_below_the_floor_is_named() -> None:
    """Of twelve products of 40 two are found: F1 is 2 x 2 / (12 + 2)."""
    found = floors(
        answered([10] * 20 + [40] * 12 + [60] * 3, [10] * 30 + [40] * 2 + [10] * 3, [10, 40, 60]),
        PARAMS,
    )
    assert not found.passed
    assert found.candidate == pytest.approx(4 / 14)
    assert "40 0.286 (12 rows)" in found.reason
    assert "1 classes of fewer than 10 rows not judged" in found.reason


def test_classes_that_one_model_lacks_are_wrong_there_and_not_lost() -> None:
    old, new = answered([10, 10], [10, 40], [10, 40]), answered([10, 10], [10, 60], [10, 60])
    found = pair(old, new)
    assert found.codes.tolist() == [10, 40, 60]
    assert found.before.argmax(1).tolist() == [0, 1]
    assert found.after.argmax(1).tolist() == [0, 2]


def test_rows_pair_by_their_number_and_not_by_their_place() -> None:
    first = answered([10, 40], [10, 40], [10, 40])
    turned = first.only(first.row[::-1])
    assert same_rows(first, turned)
    assert np.array_equal(pair(first, turned).before, pair(first, turned).after)
    assert not same_rows(first, answered([10, 40], [10, 40], [10, 40], first=1))
    with pytest.raises(AnswersError, match="have no answer"):
        pair(first, answered([10], [10], [10, 40]))


CHAMPION = Cost(latency=20, size=80, processor="one")


@pytest.mark.parametrize(
    ("candidate", "failed"),
    [
        (Cost(24, 100, "one"), []),
        (Cost(26, 80, "one"), ["latency_ratio"]),
        (Cost(101, 80, "one"), ["latency_p50_ms", "latency_ratio"]),
        (Cost(90, 80, "another"), []),
        (Cost(101, 80, "another"), ["latency_p50_ms"]),
        (Cost(20, 130, "one"), ["bundle_ratio"]),
        (Cost(20, 201, "one"), ["bundle_mb", "bundle_ratio"]),
    ],
)
def test_costs_have_to_be_within_budget_and_in_proportion(candidate: Cost, failed: list) -> None:
    found = costs(CHAMPION, candidate, PARAMS.budgets)
    assert [criterion.name for criterion in found if not criterion.passed] == failed


def test_latencies_of_two_processors_are_not_compared_and_it_says_so() -> None:
    found = costs(CHAMPION, Cost(90, 80, "another"), PARAMS.budgets)
    assert any("measured on one, the candidate's on another" in each.reason for each in found)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Revisions `base`, `worse`, `better`, `touched` (nothing learnt), and two other splits."""
    made = tiny_project.create(tmp_path_factory.mktemp("gate") / "project")
    project.run(made, "git", "tag", "base")
    for name, overrides in {
        "worse": ["text=mute"],
        "better": ["image.weight=1.2"],
        "moved": ["preprocess.first=40"],
        "elsewhere": ["preprocess.first=240"],
    }.items():
        tiny_project.run(made, *overrides, message=name)
        project.run(made, "git", "tag", name)
    return made


@pytest.fixture
def judge(folder: Path, capsys: pytest.CaptureFixture, tmp_path: Path) -> Iterator:
    """Calls `check`: exit code, verdict, what was printed."""

    def check(*arguments: str) -> tuple[int, dict, str]:
        output = tmp_path / "verdict.json"
        code = main(["check", *arguments, "--output", str(output)])
        verdict = json.loads(output.read_text()) if output.exists() else {}
        return code, verdict, "".join(capsys.readouterr())

    with chdir(folder):
        yield check


def test_a_worse_revision_is_refused(judge) -> None:
    code, verdict, printed = judge("worse", "--champion", "base")
    failed = [each["name"] for each in verdict["criteria"] if not each["passed"]]
    assert code == 1
    assert not verdict["passed"]
    assert {"macro_f1", "weighted_f1", "negative_log_likelihood"} <= {*failed}
    assert "is refused: macro_f1, weighted_f1" in printed
    assert "the 240 rows that both revisions held out" in printed


@pytest.mark.parametrize("candidate", ["base", "better"])
def test_an_equal_and_a_better_revision_pass(judge, candidate: str) -> None:
    code, verdict, printed = judge(candidate, "--champion", "base")
    assert code == 0, printed
    assert verdict["passed"]
    assert "passes" in printed


def test_after_another_split_the_champion_answers_what_it_was_not_trained_on(judge) -> None:
    """Rows 40 to 280 are held out now, and the champion was trained on 240 and those after it."""
    code, verdict, printed = judge("moved", "--champion", "base")
    assert "the champion answered 200 of 240 rows again; 40 left out" in verdict["rows"]
    assert code == 0, printed


def test_without_a_row_held_out_from_both_nothing_is_judged(judge) -> None:
    code, verdict, printed = judge("elsewhere", "--champion", "base")
    assert code == 2
    assert verdict == {}
    assert "240 left out, which show products it was trained on" in printed


def test_a_revision_without_a_run_is_not_judged(judge, folder: Path) -> None:
    project.run(folder, "git", "checkout", "--quiet", "-b", "empty")
    project.run(folder, "git", "rm", "--quiet", "dvc.lock")
    project.commit(folder, "No lock")
    project.run(folder, "git", "checkout", "--quiet", "main")
    code, _, printed = judge("empty", "--champion", "base")
    assert code == 2
    assert "has no dvc.lock" in printed


def test_figures_of_another_bundle_are_not_judged(judge, folder: Path) -> None:
    """A dvc.lock whose evaluation scored what was there before."""
    project.run(folder, "git", "checkout", "--quiet", "-b", "stale", "better")
    lock = yaml.safe_load((folder / "dvc.lock").read_text())
    lock["stages"]["train"]["outs"][-1]["md5"] = "0" * 32 + ".dir"
    (folder / "dvc.lock").write_text(yaml.safe_dump(lock))
    project.commit(folder, "Stale")
    project.run(folder, "git", "checkout", "--quiet", "main")
    code, _, printed = judge("stale", "--champion", "base")
    assert code == 2
    assert "evaluate scored" in printed


def test_an_unknown_revision_is_misuse(judge) -> None:
    code, _, printed = judge("nowhere", "--champion", "base")
    assert code == 2
    assert "nowhere is no commit, branch, tag or experiment" in printed


def test_an_unknown_command_is_misuse() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["guess"])
    assert ended.value.code == 2
