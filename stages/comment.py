"""`python -m stages.comment FOLDER`: puts a report into the one comment of its pull request.

For a workflow that `workflow_run` starts when the pipeline of a pull request ended. That pipeline
ran code of the pull request, so whatever is in FOLDER is untrusted: it is text to show, and
nothing in it decides where. Which pull request it is follows from GitHub's own event.

A comment can't hold pictures, so they become the only commit of the branch reports/pull-N, which
the comment links to. Without the right to write there the comment refers to the run's artifact.
"""

import argparse
import base64
import json
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from api.errors import ProductCodeError
from stages.github import ATTEMPTS, GitHub, GitHubError

MARKER = "<!-- report of the model -->"
AUTHOR = "github-actions[bot]"  # only its own comment is updated: anyone can write the marker
PAGE = "report.md"
BRANCH = "reports/pull-{}"
CHARACTERS = 60_000  # of a comment; GitHub takes 65,536
PICTURES, BYTES = 40, 1_000_000  # of a report
SIGNATURES = {".png": b"\x89PNG\r\n\x1a\n", ".jpg": b"\xff\xd8\xff"}
NAME = re.compile(r"[a-z0-9-]{1,60}(\.png|\.jpg)")
LINKED = re.compile(rf'(?<=\]\(){NAME.pattern}(?=\))|(?<=src="){NAME.pattern}(?=")')
MENTION = re.compile(r"@(?=[\w-])")

logger = logging.getLogger(__name__)


class CommentError(ProductCodeError):
    """No comment can be made of what the workflow gave."""


def main(folder: Path, environment: Mapping[str, str], author: str = AUTHOR) -> int:
    """Comments on every open pull request whose head is the commit that the run was of.

    Returns:
        count: Comments made or updated.
    """
    run = _event(environment)["workflow_run"]
    github = GitHub(
        _needed(environment, "GITHUB_API_URL"),
        _needed(environment, "GITHUB_REPOSITORY"),
        _needed(environment, "GITHUB_TOKEN"),
    )
    pulls = list(matching(github, run))
    if not pulls:
        logger.info("no open pull request has %s as its head any more", run["head_sha"])
    for pull in pulls:
        text = body(github, folder, run, pull, _needed(environment, "GITHUB_SERVER_URL"))
        logger.info("%s", upsert(github, pull, text, author))
    return len(pulls)


def matching(github: GitHub, run: Mapping[str, Any]) -> Iterator[int]:
    """Numbers of the open pull requests from that branch, of that repository, at that commit."""
    if run["event"] != "pull_request":
        return
    head = run["head_repository"]
    name = quote(f"{head['owner']['login']}:{run['head_branch']}", safe="")
    for pull in github.pages(f"pulls?state=open&per_page=100&head={name}"):
        source = pull["head"]["repo"] or {}  # a fork may be gone
        if pull["head"]["sha"] == run["head_sha"] and source.get("id") == head["id"]:
            yield pull["number"]


def body(github: GitHub, folder: Path, run: Mapping[str, Any], pull: int, server: str) -> str:
    """The comment, after its pictures were put where it links to."""
    text = report(folder)
    found = pictures(folder, text)
    address = f"{run['html_url']}#artifacts"
    try:
        commit = publish(github, pull, found) if found else ""
        links = {
            name: f"{server}/{github.repository}/blob/{commit}/{name}?raw=true" for name in found
        }
    except GitHubError as error:
        logger.warning("pictures are left out: %s; the job needs `contents: write`", error)
        links = {}
        text += f"\n\nPictures are in the [artifact of the run]({address})."
    text = LINKED.sub(lambda name: links.get(name[0], address), text)
    made = f"Run [{run['id']}]({run['html_url']}) of {run['head_sha']}, code of the pull request."
    return f"{MARKER}\n{text}\n\n<sub>{made}</sub>"


def report(folder: Path) -> str:
    """The page as it may be shown: no mention, no hidden marker, no more than a comment takes."""
    page = folder / PAGE
    if page.is_symlink() or not page.is_file():
        return "**The pipeline left no report.** Its log says why."
    with page.open(encoding="utf-8", errors="replace") as stream:
        text = stream.read(CHARACTERS + 1)
    if len(text) > CHARACTERS:
        text = text[:CHARACTERS].rpartition("\n")[0] + "\n\n(cut: the artifact of the run has all)"
    return MENTION.sub("@\u200b", text.replace("<!--", "&lt;!--"))


def pictures(folder: Path, text: str) -> dict[str, bytes]:
    """The pictures that the page shows, as far as they are pictures.

    Raises:
        CommentError: They are too many or too large.
    """
    found: dict[str, bytes] = {}
    for name in dict.fromkeys(match[0] for match in LINKED.finditer(text)):
        path = folder / name
        if path.is_symlink() or not path.is_file():
            continue
        if path.stat().st_size > BYTES or len(found) == PICTURES:
            raise CommentError(f"{path}: at most {PICTURES} pictures of {BYTES:,} bytes together")
        data = path.read_bytes()
        if data.startswith(SIGNATURES[path.suffix]):
            found[name] = data
    if sum(map(len, found.values())) > BYTES:
        raise CommentError(f"pictures of {folder} have over {BYTES:,} bytes together")
    return found


def publish(github: GitHub, pull: int, found: Mapping[str, bytes]) -> str:
    """Puts pictures into a commit without history; its hash."""
    tree = [
        {"path": name, "mode": "100644", "type": "blob", "sha": _blob(github, data)}
        for name, data in found.items()
    ]
    root = github.call("POST", "git/trees", {"tree": tree})["sha"]
    message = f"Pictures of the report on pull request {pull}"
    content = {"message": message, "tree": root, "parents": []}
    commit: str = github.call("POST", "git/commits", content)["sha"]
    branch = f"heads/{BRANCH.format(pull)}"
    try:
        github.call("PATCH", f"git/refs/{branch}", {"sha": commit, "force": True})
    except GitHubError as error:
        if error.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY}:
            raise
        github.call("POST", "git/refs", {"ref": f"refs/{branch}", "sha": commit})
    return commit


def _blob(github: GitHub, data: bytes) -> str:
    content = {"content": base64.b64encode(data).decode("ascii"), "encoding": "base64"}
    sha: str = github.call("POST", "git/blobs", content)["sha"]
    return sha


def upsert(github: GitHub, pull: int, text: str, author: str) -> str:
    """Updates the comment, or makes it; its address.

    A creation that may have been carried out is not repeated blindly: that would make two.
    """
    attempt = 1
    while True:
        comment = existing(github, pull, author)
        if comment is not None:
            return _address(github.call("PATCH", f"issues/comments/{comment}", {"body": text}))
        try:
            path = f"issues/{pull}/comments"
            return _address(github.call("POST", path, {"body": text}, again=False))
        except GitHubError as error:
            if not error.unsure or attempt == ATTEMPTS:
                raise
            logger.warning("%s; looking whether the comment is there", error)
        attempt += 1


def existing(github: GitHub, pull: int, author: str) -> int | None:
    """The comment that an earlier run made."""
    for comment in github.pages(f"issues/{pull}/comments?per_page=100"):
        mine = (comment["user"] or {}).get("login") == author
        if mine and (comment["body"] or "").startswith(MARKER):
            return int(comment["id"])
    return None


def _address(comment: Mapping[str, Any]) -> str:
    return str(comment["html_url"])


def _event(environment: Mapping[str, str]) -> dict[str, Any]:
    path = Path(_needed(environment, "GITHUB_EVENT_PATH"))
    event: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if "workflow_run" not in event:
        raise CommentError(f"{path} is no event of `workflow_run`: run this in such a workflow")
    return event


def _needed(environment: Mapping[str, str], name: str) -> str:
    if not (value := environment.get(name, "")):
        raise CommentError(f"{name} is not set: GitHub Actions sets it, the token under `env:`")
    return value


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)-7s %(message)s")
    parser = argparse.ArgumentParser("python -m stages.comment", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the report was downloaded to")
    parser.add_argument("--author", default=AUTHOR, help="whose token it is (%(default)s)")
    arguments = parser.parse_args()
    try:
        main(arguments.folder, os.environ, arguments.author)
    except ProductCodeError as error:
        sys.exit(f"ERROR   {error}")
