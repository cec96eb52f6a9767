"""`python -m api.batch`: the service's answers without a service, and again after being killed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from api import batch
from tests.api import batch_files, service
from tests.api.batch_files import as_csv, challenge, lines, read, send, zipped
from tests.api.service import ROOT, until
from tests.api.slow import SLOW
from tests.stages import tiny_catalogue

ROWS = 12
IMAGES = range(0, ROWS, 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle, a catalogue with a row that has no title, its images as a zip and as a folder."""
    made = tmp_path_factory.mktemp("offline")
    tiny_catalogue.write_bundle(made / "bundle")
    content = challenge(ROWS) + b"=600,,x,7,8\n" + b'"601,livre\n' + b"602,jouet,,9,9\n"
    (made / "products.csv").write_bytes(content)
    (made / "images.zip").write_bytes(batch_files.photos(IMAGES))
    batch_files.write_folder(made / "images", IMAGES)
    return made


def run(folder: Path, *options: object, file: str = "products.csv") -> int:
    """Its exit code."""
    usual = [folder / file, "--bundle", folder / "bundle"]
    return batch.main([str(option) for option in (*usual, *options)])


def command(folder: Path, *options: object, file: str = "products.csv") -> list[str]:
    usual = [folder / file, "--bundle", folder / "bundle"]
    return [sys.executable, "-m", "api.batch", *map(str, (*usual, *options))]


def test_answers_are_those_of_the_service(folder: Path, tmp_path: Path) -> None:
    """Line for line, but for the request ids, in both formats."""
    zip_file, products = folder / "images.zip", (folder / "products.csv").read_bytes()
    outputs = tmp_path / "out.jsonl", tmp_path / "out.csv"
    codes = [run(folder, "--images", zip_file, "--output", output) for output in outputs]
    assert codes == [batch.SOME_FAILED] * 2
    with service.client(tmp_path, bundle_dir=folder / "bundle") as client:
        online = send(client, products, zip_file.read_bytes())
        in_csv = send(
            client,
            products,
            zip_file.read_bytes(),
            headers={"Accept": "text/csv", "X-Request-ID": "1"},
        )
    *offline, last = read(outputs[0].read_bytes())
    told = lines(online)
    for line in told:
        line.pop("request_id", None)
    assert offline == told
    assert (
        last["summary"] | {"request_id": online.headers["X-Request-ID"]}
        == (read(online.content)[-1]["summary"])
    )
    without = [line.replace(f",1.{n},", ",,") for n, line in enumerate(in_csv.text.splitlines())]
    assert outputs[1].read_text().splitlines()[:-1] == without[:-1]


def test_a_folder_of_images_is_as_good_as_a_zip(folder: Path, tmp_path: Path) -> None:
    run(folder, "--images", folder / "images", "--output", tmp_path / "folder.jsonl")
    run(folder, "--images", folder / "images.zip", "--output", tmp_path / "zip.jsonl")
    assert (tmp_path / "folder.jsonl").read_bytes() == (tmp_path / "zip.jsonl").read_bytes()


def test_an_image_outside_the_folder_is_not_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.jpg").write_bytes(service.RED)
    names = ["../secret.jpg", str(tmp_path / "secret.jpg"), "in/../secret.jpg"]
    (tmp_path / "p.csv").write_bytes(as_csv([["designation", "image"], *(["x", n] for n in names)]))
    options = [
        "--images",
        tmp_path / "in",
        "--bundle",
        folder / "bundle",
        "--output",
        tmp_path / "o.jsonl",
    ]
    assert batch.main([str(tmp_path / "p.csv"), *map(str, options)]) == batch.SOME_FAILED
    told = read((tmp_path / "o.jsonl").read_bytes())
    assert [line["error"]["reason"] for line in told[:-1]] == ["not_found"] * 3


def test_it_prints_json_lines_and_nothing_else(folder: Path) -> None:
    done = subprocess.run(command(folder), cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (batch.SOME_FAILED, b"")
    *told, last = read(done.stdout)
    assert [line["row"] for line in told] == list(range(1, ROWS + 4))
    assert last["summary"]["errors"] == 2


def test_all_predicted_is_success(folder: Path, tmp_path: Path) -> None:
    (folder / "good.csv").write_bytes(challenge(2))
    assert run(folder, "--output", tmp_path / "a.csv", file="good.csv") == 0


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_cut_output_is_gone_on_with_to_the_same_bytes(
    folder: Path, tmp_path: Path, suffix: str
) -> None:
    """Wherever the cut is: in the header, in a line, at its end, before the summary."""
    options = ["--images", folder / "images.zip", "--output"]
    whole = tmp_path / f"whole.{suffix}"
    run(folder, *options, whole)
    content = whole.read_bytes()
    ends = [at + 1 for at, byte in enumerate(content) if byte == ord("\n")]
    cuts = {0, 1, 10, ends[0], ends[0] + 1, ends[1] - 1, ends[5], ends[-2], ends[-2] + 9}
    for cut in sorted(cuts | {len(content) - 1, len(content)}):
        part = tmp_path / f"part.{suffix}"
        part.write_bytes(content[:cut])
        assert run(folder, *options, part, "--resume") == batch.SOME_FAILED
        assert part.read_bytes() == content, cut


def test_a_killed_run_is_gone_on_with_to_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    rows = [["designation", "image"], *([f"livre {n}", "slow.png"] for n in range(30))]
    (folder / "slow.csv").write_bytes(as_csv(rows))
    (folder / "slow.zip").write_bytes(zipped({"slow.png": SLOW}))
    killed, whole = tmp_path / "killed.jsonl", tmp_path / "whole.jsonl"
    options = ["--images", folder / "slow.zip", "--output"]
    process = subprocess.Popen(command(folder, *options, killed, file="slow.csv"), cwd=ROOT)
    until(lambda: killed.exists() and killed.read_bytes().count(b"\n") >= 5)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    assert killed.read_bytes().count(b"\n") < 30
    assert run(folder, *options, killed, "--resume", file="slow.csv") == 0
    assert run(folder, *options, whole, file="slow.csv") == 0
    assert killed.read_bytes() == whole.read_bytes()


def test_an_interrupt_says_how_to_go_on(folder: Path, tmp_path: Path) -> None:
    rows = [["designation", "image"], *([f"livre {n}", "slow.png"] for n in range(200))]
    (tmp_path / "slow.csv").write_bytes(as_csv(rows))
    (tmp_path / "slow.zip").write_bytes(zipped({"slow.png": SLOW}))
    output = tmp_path / "o.jsonl"
    options = ["--images", tmp_path / "slow.zip", "--output", output, "--bundle", folder / "bundle"]
    process = subprocess.Popen(
        [sys.executable, "-m", "api.batch", tmp_path / "slow.csv", *options],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: output.exists() and output.stat().st_size > 0)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (
        batch.INTERRUPTED,
        "interrupted; --resume goes on with the same --output\n",
    )


def test_another_file_or_bundle_is_not_mixed_in(folder: Path, tmp_path: Path, capsys) -> None:
    output = tmp_path / "o.jsonl"
    run(folder, "--output", output)
    part = b"".join(output.read_bytes().splitlines(keepends=True)[:5])
    (folder / "other.csv").write_bytes(challenge(ROWS).replace(b"livre", b"jouet"))
    (folder / "short.csv").write_bytes(challenge(2))
    tiny_catalogue.write_bundle(tmp_path / "bundle", synthetic=True)
    for options, file, told in (
        ([], "other.csv", "its row 5 is another"),
        (["--bundle", tmp_path / "bundle"], "products.csv", "its row 5 is another"),
        (["--images", folder / "images.zip"], "products.csv", "its row 5 is another"),
        ([], "short.csv", "the input has fewer rows"),
    ):
        output.write_bytes(part)
        assert run(folder, "--output", output, "--resume", *options, file=file) == batch.FAILED
        assert told in capsys.readouterr().err
        assert output.read_bytes() == part


def test_a_finished_output_stays(folder: Path, tmp_path: Path, capsys) -> None:
    output = tmp_path / "o.csv"
    run(folder, "--output", output)
    before = output.read_bytes()
    assert run(folder, "--output", output) == batch.FAILED
    assert "it exists" in capsys.readouterr().err
    assert run(folder, "--output", output, "--resume") == batch.SOME_FAILED
    assert "is complete" in capsys.readouterr().err
    assert output.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--output", "o.xls"], "o.xls: unknown kind of output"),
        (["--resume"], "--resume needs --output"),
        (["--images", "nowhere.zip"], "--images nowhere.zip: no such file or folder"),
        (["--images", "products.csv"], "not a whole zip file"),
        (["--bundle", "nowhere"], "no bundle.json"),
        (["--output", "nowhere/o.csv"], "nowhere/o.csv"),
        (["--output", "products.csv", "--resume"], "begins otherwise"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    folder: Path, options: list[str], told: str, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert run(folder, *options) == batch.FAILED
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert (folder / "products.csv").read_bytes().startswith(b",designation")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "No such file"),
        (b"", "Le fichier est vide"),
        (b"a,b\n1,2\n", "La première ligne doit nommer les colonnes"),
        ("designation\nété\n".encode("latin-1"), "Ligne 2 : le fichier n'est pas en UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used_is_told(
    folder: Path, tmp_path: Path, content: bytes | None, told: str, capsys
) -> None:
    file, output = tmp_path / "p.csv", tmp_path / "o.csv"
    if content is not None:
        file.write_bytes(content)
    options = [str(file), "--bundle", str(folder / "bundle"), "--output", str(output)]
    assert batch.main(options) == batch.FAILED
    assert told in capsys.readouterr().err
    assert not output.exists()


def test_it_needs_neither_secret_nor_database_nor_training_libraries(
    folder: Path, tmp_path: Path
) -> None:
    script = (
        "import sys; from api import batch; code = batch.main(sys.argv[1:]);"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *command(folder)[3:]],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == batch.SOME_FAILED
    loaded = set(done.stderr.split())
    assert not loaded & {"tensorflow", "keras", "pandas", "pyarrow", "sklearn", "dvc", "stages"}
    assert json.loads(done.stdout.splitlines()[-1])["summary"]["rows"] == ROWS + 3
    assert list(tmp_path.iterdir()) == []
