"""Classifies a file of products without a service: `python -m api.batch FILE [--output FILE]`.

The same rows, answers and formats as POST /predict/batch. Exit code: 0 if every row was predicted,
3 if some could not be (their lines say why), 1 if the work could not be done, 130 if interrupted.
"""

import argparse
import os
import secrets
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tqdm import tqdm

from api import bundle
from api.batches import formats
from api.batches.answers import Answer, answer
from api.batches.csv_lines import CsvLines
from api.batches.formats import Format, JsonLines
from api.batches.images import FolderImages, Images, NoImages, ZipImages
from api.batches.output import Output, OutputError
from api.batches.products import Row, products
from api.batches.source import Rows, count_rows, open_rows
from api.bundle import Bundle
from api.errors import ProductCodeError
from api.problems import Problem
from api.settings import Settings
from api.zip_safety import DEFAULT_LIMITS

SOME_FAILED, FAILED, INTERRUPTED = 3, 1, 130
AHEAD = 8
"""Rows in work, for each thread."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs; what can't be done is told in one line."""
    options = _parser().parse_args(arguments)
    if options.resume and options.output is None:
        print("--resume needs --output", file=sys.stderr)
        return FAILED
    try:
        errors = run(options.file, options.images, options.output, options.resume, options.bundle)
    except KeyboardInterrupt:
        print("interrupted; --resume goes on with the same --output", file=sys.stderr)
        return INTERRUPTED
    except Problem as problem:
        print(f"{options.file}: {problem.detail}", file=sys.stderr)
        return FAILED
    except (ProductCodeError, OSError) as error:
        print(error, file=sys.stderr)
        return FAILED
    return SOME_FAILED if errors else 0


def run(
    file: Path, images: Path | None, target: Path | None, resume: bool, bundle_dir: Path
) -> int:
    """Answers every row of a file; returns how many could not be predicted.

    Raises:
        Problem: The file can't be used.
        ProductCodeError: The bundle, the images or the output can't be used.
        OSError: A file can't be read or written.
    """
    # The limits on rows are the service's, whose settings need a secret; nothing is signed here.
    settings = Settings.load(secret=secrets.token_urlsafe(48))
    with ExitStack() as stack:
        rows = open_rows(stack.enter_context(file.open("rb")), settings)
        out = Output(target, _format(target, rows), resume)
        if out.before.complete:
            print(f"{target} is complete", file=sys.stderr)
            return out.before.tally.errors
        served = bundle.load(bundle_dir)
        photos = _images(images, settings, stack)
        total = count_rows(rows)
        out.open(stack, total)
        return _answer_all(served, rows, photos, settings, out, total)


def _answer_all(
    served: Bundle, rows: Rows, images: Images, settings: Settings, out: Output, total: int
) -> int:
    """Writes a line for each row, from the last of an earlier run on, and the summary."""
    tally, start = out.before.tally, max(out.before.row, 1)
    with tqdm(total=total, initial=start - 1, unit=" rows", disable=None, mininterval=1) as bar:
        chosen = products(rows, start, images, settings)
        for given in answers(served, chosen, images, settings.top_k):
            out.row(given.row.number, out.form.line(formats.answered(given)))
            tally.add(given)
            bar.update()
    out.write(out.form.line(formats.summary(tally, 1, rows.ignored, served.version, None)))
    return tally.errors


def answers(
    served: Bundle, rows: Iterable[Row], images: Images, top_k: int, threads: int | None = None
) -> Iterator[Answer]:
    """The answers in the order of the rows, computed on every core unless told otherwise."""
    threads = threads or len(os.sched_getaffinity(0))
    pool = ThreadPoolExecutor(threads, "inference")
    work = partial(answer, served, images=images, top_k=top_k, identity="")
    waiting: deque[Future[Answer]] = deque()
    try:
        for row in rows:
            waiting.append(pool.submit(work, row))
            if len(waiting) >= AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _format(target: Path | None, rows: Rows) -> Format:
    suffix = target.suffix.lower() if target else ".jsonl"
    if suffix in {".jsonl", ".ndjson"}:
        return JsonLines()
    if suffix == ".csv":
        return CsvLines(rows.separator)
    raise OutputError(target or Path(), "unknown kind of output: end it in .csv, .jsonl or .ndjson")


def _images(path: Path | None, settings: Settings, stack: ExitStack) -> Images:
    if path is None:
        return NoImages()
    if not path.exists():
        raise FileNotFoundError(f"--images {path}: no such file or folder")
    if path.is_dir():
        return FolderImages(path, settings.max_image_bytes)
    return stack.enter_context(ZipImages(path, DEFAULT_LIMITS.entries, settings.max_image_bytes))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m api.batch",
        description="Classifies the products of a CSV or JSON Lines file.",
        epilog="Exit code: 0 all rows predicted, 3 some not, 1 the work could not be done.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="CSV or JSON Lines, in UTF-8")
    parser.add_argument("--images", type=Path, help="a zip file or a folder")
    parser.add_argument(
        "--output", type=Path, help=".csv, .jsonl or .ndjson; by default JSON Lines are printed"
    )
    parser.add_argument("--resume", action="store_true", help="go on with an output, same bytes")
    parser.add_argument("--bundle", type=Path, default=Path("models/bundle"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
