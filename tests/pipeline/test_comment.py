"""The comment on a pull request, against a local HTTPS server that answers as GitHub does."""

import io
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from stages import comment
from stages.github import GitHub, GitHubError
from tests.pipeline import github_server, project
from tests.pipeline.github_server import REPOSITORY, TOKEN, GitHubServer

HEAD, FORK = "a" * 40, {"id": 22}
PAGE = (
    "# What this change does to the model\n\n**Worse.** weighted F1 0.9 → 0.8\n\n"
    '![Confusion](confusion.png)\n\n<img src="product-7.jpg" alt="photo" width="72">\n'
)

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl, which makes the certificate, is not installed"
)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHubServer]:
    """Pull request 7, from branch `change` of a fork, at HEAD."""
    with github_server.serve(tmp_path) as running:
        running.pulls = [pull(7)]
        monkeypatch.setenv("SSL_CERT_FILE", running.certificate)
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A report with two pictures, as it was downloaded."""
    report = tmp_path / "report"
    report.mkdir()
    (report / "report.md").write_text(PAGE)
    (report / "confusion.png").write_bytes(picture("PNG"))
    (report / "product-7.jpg").write_bytes(picture("JPEG"))
    return report


def picture(kind: str, colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(buffer, kind)
    return buffer.getvalue()


def pull(number: int, sha: str = HEAD, repository: dict | None = FORK) -> dict:
    head = {"ref": "change", "sha": sha, "user": {"login": "forker"}, "repo": repository}
    return {"number": number, "head": head}


def event(folder: Path, **changed: object) -> Path:
    """What GitHub tells a workflow that `workflow_run` starts, as far as it is read."""
    run = {
        "id": 99,
        "event": "pull_request",
        "head_branch": "change",
        "head_sha": HEAD,
        "head_repository": {"id": 22, "owner": {"login": "forker"}},
        "html_url": f"https://github.com/{REPOSITORY}/actions/runs/99",
    }
    path = folder.parent / "event.json"
    path.write_text(json.dumps({"workflow_run": run | changed}))
    return path


def run(
    server: GitHubServer, folder: Path, check: bool = True, **changed: object
) -> subprocess.CompletedProcess[str]:
    """The program as the workflow runs it, without any installed package."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", "stages.comment", str(folder)],
        cwd=project.ROOT,
        env={
            "PATH": os.environ["PATH"],
            "SSL_CERT_FILE": server.certificate,
            "GITHUB_API_URL": server.address,
            "GITHUB_SERVER_URL": server.address,
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_EVENT_PATH": str(event(folder, **changed)),
            "GITHUB_TOKEN": TOKEN,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert TOKEN not in done.stdout + done.stderr
    assert done.returncode == 0 or not check, done.stderr
    return done


def test_one_comment_is_made_and_then_updated(server: GitHubServer, folder: Path) -> None:
    """However many comments others wrote, one with the same hidden marker among them."""
    for number in range(130):
        server.add_comment(7, "somebody", f"{comment.MARKER} no. {number}")
    run(server, folder)
    (folder / "report.md").write_text(PAGE.replace("Worse", "Better"))
    run(server, folder)
    mine = [found for found in server.comments if found["user"]["login"] == comment.AUTHOR]
    assert len(mine) == 1
    assert mine[0]["body"].startswith(comment.MARKER)
    assert "**Better.**" in mine[0]["body"]
    assert f"Run [99](https://github.com/{REPOSITORY}/actions/runs/99) of {HEAD}" in mine[0]["body"]
    assert all(found["body"].startswith(comment.MARKER + " no.") for found in server.comments[:130])
    assert [call for call in server.calls if "comments" in call and "GET" not in call] == [
        "POST issues/7/comments",
        "PATCH issues/comments/131",
    ]


def test_pictures_are_where_the_comment_links_to(server: GitHubServer, folder: Path) -> None:
    """Every run leaves a branch with one commit, however often it is updated."""
    run(server, folder)
    (folder / "confusion.png").write_bytes(picture("PNG", "blue"))
    run(server, folder)
    body = server.comments[0]["body"]
    links = re.findall(r'(?:\]\(|src=")([^)"]+)', body)[:2]
    context = ssl.create_default_context(cafile=server.certificate)
    shown = []
    for link in links:
        with urllib.request.urlopen(link, context=context) as answer:
            shown.append(answer.read())
    assert shown == [picture("PNG", "blue"), picture("JPEG")]
    assert server.run("rev-list", "--count", "reports/pull-7") == "1"
    assert server.run("for-each-ref", "--format=%(refname)") == "refs/heads/reports/pull-7"


def test_without_the_right_to_write_pictures_the_text_is_posted(
    server: GitHubServer, folder: Path
) -> None:
    server.faults.append(("POST git/blobs", 403, {}))
    run(server, folder)
    body = server.comments[0]["body"]
    assert "**Worse.**" in body
    assert f"[artifact of the run](https://github.com/{REPOSITORY}/actions/runs/99#artifacts)" in (
        body
    )


@pytest.mark.parametrize(
    "other",
    [pull(7, sha="b" * 40), pull(7, repository={"id": 23}), pull(7, repository=None)],
)
def test_only_the_commit_that_ran_is_commented_on(
    server: GitHubServer, folder: Path, other: dict
) -> None:
    """Not one that was pushed since, nor a branch of that name in another repository."""
    server.pulls = [other]
    run(server, folder)
    assert server.comments == []
    assert server.run("for-each-ref") == ""


def test_a_run_of_main_is_commented_nowhere(server: GitHubServer, folder: Path) -> None:
    run(server, folder, event="push")
    assert server.calls == []


def test_a_missing_report_is_told(server: GitHubServer, tmp_path: Path) -> None:
    run(server, tmp_path / "nothing")
    assert "The pipeline left no report" in server.comments[0]["body"]


def test_a_hostile_artifact_is_only_shown(server: GitHubServer, folder: Path) -> None:
    """No mention, no marker of another comment, no file from elsewhere, no disguised program."""
    secret = folder.parent / "secret.png"
    secret.write_bytes(picture("PNG"))
    (folder / "link.png").symlink_to(secret)
    (folder / "script.png").write_text("<script>alert(1)</script>")
    (folder / "report.md").write_text(
        f"@everyone {comment.MARKER}\n![](link.png) ![](script.png) ![](../secret.png)\n"
    )
    run(server, folder)
    body = server.comments[0]["body"]
    assert "@everyone" not in body
    assert body.count("<!--") == 1
    assert server.run("for-each-ref") == ""


def test_too_many_pictures_are_refused(server: GitHubServer, folder: Path) -> None:
    names = [f"p-{number}.png" for number in range(comment.PICTURES + 1)]
    for name in names:
        (folder / name).write_bytes(picture("PNG"))
    (folder / "report.md").write_text(" ".join(f"![]({name})" for name in names))
    done = run(server, folder, check=False)
    assert done.returncode == 1
    assert f"at most {comment.PICTURES} pictures" in done.stderr
    assert server.comments == []


def test_a_page_too_long_for_a_comment_is_cut(server: GitHubServer, folder: Path) -> None:
    (folder / "report.md").write_text("line\n" * 50_000)
    run(server, folder)
    assert "(cut: the artifact of the run has all)" in server.comments[0]["body"]


def test_a_folder_that_links_elsewhere_is_no_report(server: GitHubServer, folder: Path) -> None:
    (folder / "report.md").unlink()
    (folder / "report.md").symlink_to("/etc/hostname")
    run(server, folder)
    assert "The pipeline left no report" in server.comments[0]["body"]


def github(server: GitHubServer, waits: list[float]) -> GitHub:
    return GitHub(server.address, REPOSITORY, TOKEN, waits.append)


def test_a_busy_server_is_asked_again(server: GitHubServer) -> None:
    """After the time it asks for, or ever longer ones."""
    waits: list[float] = []
    server.faults = [
        ("GET issues", 502, {}),
        ("GET issues", 503, {}),
        ("GET issues", 429, {"Retry-After": "17"}),
        ("GET issues", 403, {"X-RateLimit-Remaining": "0"}),
    ]
    comment.upsert(github(server, waits), 7, comment.MARKER, comment.AUTHOR)
    assert waits == [1, 2, 17, 8]
    assert len(server.comments) == 1


def test_a_comment_that_was_made_in_spite_of_an_error_is_not_made_twice(
    server: GitHubServer,
) -> None:
    server.late["POST issues/7/comments"] = 502
    comment.upsert(github(server, []), 7, comment.MARKER, comment.AUTHOR)
    assert len(server.comments) == 1


def test_an_error_that_stays_is_given_up(server: GitHubServer) -> None:
    server.faults = [("GET", 500, {})] * 9
    with pytest.raises(GitHubError, match="500, a fault"):
        comment.upsert(github(server, []), 7, "text", comment.AUTHOR)
    assert len(server.calls) == 5


def test_a_refusal_is_told_in_a_line(server: GitHubServer, folder: Path) -> None:
    server.faults.append(("POST issues", 403, {}))
    done = run(server, folder, check=False)
    assert done.returncode == 1
    assert "POST" in done.stderr
    assert "403, a fault" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_token_is_never_carried_elsewhere(server: GitHubServer) -> None:
    """Neither by a redirect, nor by a next page, nor in the clear."""
    server.faults.append(("GET", 302, {"Location": f"{server.address}/elsewhere"}))
    with pytest.raises(GitHubError, match="302"):
        github(server, []).call("GET", "issues/7/comments")
    assert server.calls == ["GET issues/7/comments"]
    with pytest.raises(GitHubError, match="no https:// address"):
        GitHub("http://localhost", REPOSITORY, TOKEN)
    with pytest.raises(GitHubError, match="no answer"):
        GitHub("https://localhost:1", REPOSITORY, TOKEN, [].append).call("GET", "pulls")
