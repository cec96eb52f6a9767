"""The report on a change, made of real runs of DVC in a small repository."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from api.errors import ProductCodeError
from stages.report import cost, drift, markdown
from stages.report.__main__ import main
from stages.report.revision import Revision
from tests.pipeline import project, small_project

Change = Callable[..., Path]
Report = Callable[..., str]

pytestmark = [
    pytest.mark.slow,
    # DVC's own use of pygtrie.
    pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project after its first run, committed on `main`."""
    folder = small_project.create(tmp_path_factory.mktemp("report") / "project")
    small_project.repro(folder)
    project.commit(folder, "Run")
    return folder


def changed(base: Path, folder: Path, check: bool = True, **sections: dict) -> Path:
    """A copy on a branch with other parameters, after it ran what they need."""
    small_project.copy(base, folder)
    project.run(folder, "git", "switch", "--quiet", "--create", "change")
    small_project.configure(folder, **sections)
    small_project.repro(folder, check=check)
    project.commit(folder, "Change")
    return folder


@pytest.fixture
def change(base: Path, tmp_path: Path) -> Change:
    """Makes such a branch for one test."""
    return lambda **sections: changed(base, tmp_path / "change", **sections)


@pytest.fixture(scope="module")
def worse(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A branch whose model is much worse."""
    folder = tmp_path_factory.mktemp("worse") / "change"
    return changed(base, folder, training={"skill": 0.5})


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Report:
    """Writes a project's report/ and gives its page."""

    def made(folder: Path, name: str = "main") -> str:
        monkeypatch.chdir(folder)
        main(name, Path("report"))
        return (folder / "report/report.md").read_text()

    return made


def section(page: str, title: str) -> str:
    return page.partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_a_worse_model_is_called_worse_and_everything_is_shown(worse: Path, report: Report) -> None:
    """Figures with intervals, classes, products with photos, pictures, parameters, a receipt."""
    page = report(worse)
    assert page.splitlines()[2].startswith("**Worse.** weighted F1 0.")
    assert "> **Synthetic data.**" in page
    assert "dvc.lock is not committed" not in page
    assert re.search(r"\| macro F1 \| 0\.\d+ \| 0\.\d+ \| −0\.\d+ \| −0\.\d+ to −", page)
    assert "| <code>training.skill</code> | <code>1.5</code> | <code>0.5</code> |" in page
    assert "| <code>train</code> | <code>training.skill</code> |" in page
    assert "Not shown" not in page
    assert "Not drawn" not in page
    assert Revision(worse).lock.md5("models/bundle") in section(page, "Receipt")
    for title in ("Classes", "Latency and size", "Data drift", "Cost of the run"):
        assert section(page, title), title
    shown = set(re.findall(r"[a-z0-9-]+\.(?:png|jpg)", page))
    files = {file.name for file in (worse / "report").iterdir()}
    assert shown == files - {"report.md", "report.html"}
    assert {"confusion.png", "curves.png"} < shown
    assert any(name.startswith("product-") for name in shown)
    assert sum(file.stat().st_size for file in (worse / "report").iterdir()) < 1_000_000


def test_the_html_page_holds_its_pictures_and_fetches_nothing(worse: Path, report: Report) -> None:
    report(worse)
    html = (worse / "report/report.html").read_text()
    assert "default-src 'none'" in html
    assert "<table>" in html
    sources = re.findall(r'src="([^"]{12})', html)
    assert len(sources) > 2
    assert {source[:10] for source in sources} == {"data:image"}


def test_a_better_model_is_called_better(change: Change, report: Report) -> None:
    assert report(change(training={"skill": 4.0})).splitlines()[2].startswith("**Better.**")


def test_no_change_is_said_without_reading_any_data(
    base: Path, report: Report, tmp_path: Path
) -> None:
    """A fresh clone has neither data nor cache."""
    folder = project.clone(base, tmp_path / "clone")
    page = report(folder)
    assert page.splitlines()[2].startswith("**No change.**")
    assert "Data, features, bundle and predictions are those of the base" in page
    assert "No stage ran on this machine" in page
    assert "Not shown" not in page


def test_the_first_pull_request_has_nothing_to_compare_with(base: Path, report: Report) -> None:
    page = report(base, "main~1")
    assert page.splitlines()[2].startswith("**First run.**")
    assert re.search(r"\| weighted F1 \| 0\.\d+ \|", page)
    assert "Not shown" not in page


def test_another_split_is_compared_where_both_held_out(change: Change, report: Report) -> None:
    folder = change(preprocess={"seed": 2})
    page = report(folder)
    common = re.search(r"On the same (\d+) held-out products", page)
    assert common
    assert 0 < int(common[1]) < 80
    assert f"{80 - int(common[1])} products that only the base held out" in page
    assert "not comparable as they stand" in page
    assert "the only ones that compare" in page.splitlines()[2]


def test_other_labels_are_left_out(change: Change, report: Report) -> None:
    """Class 40 is called 50 now: its products compare with nothing."""
    page = report(change(preprocess={"code_40": 50}))
    assert re.search(r"\d+ products have another label now and are left out", page)
    assert "| 40 " not in section(page, "Classes")


def test_a_removed_class_is_left_out(change: Change, report: Report) -> None:
    page = report(change(preprocess={"codes": [10, 40, 1280]}))
    assert "products that only the base held out are left out" in page
    assert "| class | 4 classes | 3 classes |" in section(page, "Data drift")


def test_products_are_found_again_under_other_rows(change: Change, report: Report) -> None:
    """The same products in another order: every answer is paired with that of its product."""
    page = report(change(data={"reordered": True}))
    assert "| weighted F1 | 0.755 | 0.755 | 0.000 | 0.000 to 0.000 |" in page
    assert page.splitlines()[2].startswith("**No clear difference.**")
    assert "0 of 80 products get another answer" in page


def test_a_failed_stage_is_named_with_its_error(change: Change, report: Report) -> None:
    """What depends on it is named as well, and figures are said to be of an earlier state."""
    page = report(change(check=False, training={"skill": -1.0}))
    assert "**Not finished.** dvc.lock is out of date" in page
    assert "in: train, evaluate, benchmark." in page
    assert "training.skill is -1.0, at least 0 is needed" in page


def test_a_base_without_its_data_is_compared_by_what_git_has(
    worse: Path, report: Report, tmp_path: Path
) -> None:
    folder = small_project.copy(worse, tmp_path / "change")
    shutil.rmtree(folder / ".dvc/cache")
    page = report(folder)
    assert page.splitlines()[2].startswith("**Not comparable.** metrics/evaluate/predictions")
    assert re.search(r"Recorded weighted F1: 0\.755 → 0\.\d+, without an interval", page)
    assert "Not shown: metrics/evaluate/predictions.parquet" in section(page, "Classes")
    assert "<code>training.skill</code>" in page


def test_latency_of_another_processor_is_not_set_against_the_base(
    change: Change, report: Report
) -> None:
    page = report(change(training={"skill": 2.0}, benchmark={"processor": "another"}))
    assert "Measured on different processors" in page


def test_an_unknown_base_is_refused_with_what_to_do(base: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stages.report", "nothing", "report"],
        cwd=base,
        env=project.environment(PYTHONPATH=str(project.ROOT)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "BASE=nothing is nothing to compare with" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broken_pipeline_is_an_error_of_one_line(
    worse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small_project.copy(worse, tmp_path / "change")
    with (folder / "dvc.yaml").open("a") as file:
        file.write("  broken: [\n")
    monkeypatch.chdir(folder)
    with pytest.raises(ProductCodeError, match=r"dvc\.yaml.*`dvc status` can read it"):
        main("main", Path("report"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a | b\nc", "a &#124; b c"),
        ("<img src=x>", "&lt;img src=x&gt;"),
        ("@someone #12", "@\u200bsomeone #\u200b12"),
        ("[x](https://example.com)", "&#91;x&#93;(https&#58;//example.com)"),
        ("`x` **y** $z$", "&#96;x&#96; &#42;&#42;y&#42;&#42; &#36;z&#36;"),
    ],
)
def test_titles_stay_text(text: str, shown: str) -> None:
    """No cell, tag, mention, link or formula comes of what a seller wrote."""
    assert markdown.plain(text) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0004, "0.000"), (-0.0004, "0.000"), (0.25, "+0.250"), (-1, "−1.000")]
)
def test_signs_are_of_what_is_shown(value: float, shown: str) -> None:
    assert markdown.signed(value) == shown


def test_the_stability_index_is_that_of_its_formula() -> None:
    """(0.8 - 0.5) ln(0.8 / 0.5) + (0.2 - 0.5) ln(0.2 / 0.5) = 0.4159; none for equal shares."""
    assert drift.stability([5000, 5000], [8000, 2000]) == pytest.approx(0.4159, abs=1e-3)
    assert drift.stability([30, 70], [30, 70]) == 0
    assert np.isfinite(drift.stability([10, 0], [0, 10]))


def test_cost_is_that_of_the_last_run_of_each_stage(tmp_path: Path) -> None:
    log = tmp_path / "logs/train_logger.log"
    log.parent.mkdir()
    log.write_text(
        "2026-01-01 10:00:00,000 INFO stages.train train done in 50.0 s, peak memory 900 MB\n"
        "2026-01-02 10:00:00,000 INFO stages.train train done in 57.1 s, peak memory 913 MB\n"
        "2026-01-02 09:00:00,000 INFO stages.import_data import_data done in 3.2 s, "
        "peak memory 117 MB\n"
        "a line of somebody else: stages.train train done in 1.0 s, peak memory 1 MB\n"
    )
    found = cost.runs(tmp_path)
    assert {name: (run.seconds, run.peak_mb) for name, run in found.items()} == {
        "train": (57.1, 913),
        "import": (3.2, 117),
    }
