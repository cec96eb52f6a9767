"""GitHub's REST API, as far as this project needs it, with Python's own library alone.

The program that calls it holds a token that may write: it runs without anything installed.
"""

import json
import logging
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from api.errors import ProductCodeError

ATTEMPTS = 5
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds
TIMEOUT = 30  # seconds
BUSY = {HTTPStatus.TOO_MANY_REQUESTS}
BROKEN = {
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
_NEXT = re.compile(r'<([^<>]+)>;\s*rel="next"')

logger = logging.getLogger(__name__)


class GitHubError(ProductCodeError):
    """GitHub refused a call, or could not be reached; `status` is None in the latter case."""

    def __init__(self, call: str, status: int | None, reason: str) -> None:
        super().__init__(f"{call}: {status or 'no answer'}, {reason}")
        self.status = status

    @property
    def unsure(self) -> bool:
        """Whether the call may have been carried out all the same."""
        return self.status is None or self.status in BROKEN


class _NoRedirects(HTTPRedirectHandler):
    """A redirect would carry the token to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


class GitHub:
    """A repository.

    Args:
        api: Address of the API, https only: a token is sent to it.
        repository: owner/name.
        token: Sent with every call, logged with none.
        wait: Called with the seconds to wait before another attempt.
    """

    def __init__(
        self, api: str, repository: str, token: str, wait: Callable[[float], None] = time.sleep
    ) -> None:
        if not api.startswith("https://"):
            raise GitHubError("GITHUB_API_URL", None, f"{api!r} is no https:// address")
        self.api = api.rstrip("/")
        self.repository = repository
        self._token = token
        self._wait = wait
        self._opener = build_opener(
            HTTPSHandler(context=ssl.create_default_context()), _NoRedirects()
        )

    def call(self, method: str, path: str, body: Any = None, again: bool = True) -> Any:
        """One call below the repository; its answer, None if that is empty.

        Args:
            method: Such as GET.
            path: Below /repos/owner/name/.
            body: Sent as JSON.
            again: Whether a call that may have been carried out may be repeated.

        Raises:
            GitHubError: It was refused, or failed five times.
        """
        return self._call(method, f"{self.api}/repos/{self.repository}/{path}", body, again)[0]

    def pages(self, path: str) -> Iterator[Any]:
        """Every item of a list, page after page."""
        address: str | None = f"{self.api}/repos/{self.repository}/{path}"
        while address:
            items, headers = self._call("GET", address, None, again=True)
            yield from items
            found = _NEXT.search(headers.get("link", ""))
            address = found[1] if found and found[1].startswith(f"{self.api}/") else None

    def _call(
        self, method: str, address: str, body: Any, again: bool
    ) -> tuple[Any, Mapping[str, str]]:
        attempt = 1
        while True:
            try:
                return self._once(method, address, body)
            except _TryAgainError as error:
                if attempt == ATTEMPTS or (error.failure.unsure and not again):
                    raise error.failure from error
                wait = min(error.seconds or FIRST_WAIT * 2 ** (attempt - 1), LONGEST_WAIT)
                logger.warning("%s; once more in %.0f s", error.failure, wait)
            self._wait(wait)
            attempt += 1

    def _once(self, method: str, address: str, body: Any) -> tuple[Any, Mapping[str, str]]:
        call = f"{method} {address}"
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/json",
            "User-Agent": self.repository,
            "X-GitHub-Api-Version": "2022-11-28",
        }
        data = None if body is None else json.dumps(body).encode()
        request = Request(address, data, headers, method=method)  # noqa: S310  https, checked
        try:
            with self._opener.open(request, timeout=TIMEOUT) as answer:
                text = answer.read()
                found = {name.lower(): value for name, value in answer.headers.items()}
                return (json.loads(text) if text else None), found
        except HTTPError as error:
            with error:
                raise _failure(call, error) from error
        except (URLError, OSError) as error:
            reason = str(getattr(error, "reason", error))
            raise _TryAgainError(GitHubError(call, None, reason), None) from error


class _TryAgainError(Exception):
    """A failure that may pass; `seconds` is what GitHub asks to wait."""

    def __init__(self, failure: GitHubError, seconds: float | None) -> None:
        super().__init__(failure)
        self.failure = failure
        self.seconds = seconds


def _failure(call: str, error: HTTPError) -> Exception:
    failure = GitHubError(call, error.code, _message(error))
    asked = error.headers.get("retry-after", "")
    seconds = float(asked) if asked.isdigit() else None
    spent = error.headers.get("x-ratelimit-remaining") == "0" or seconds is not None
    limited = error.code == HTTPStatus.FORBIDDEN and spent
    if limited or error.code in BUSY | BROKEN:
        return _TryAgainError(failure, seconds)
    return failure


def _message(error: HTTPError) -> str:
    try:
        return str(json.loads(error.read())["message"])
    except (ValueError, KeyError, TypeError):
        return str(error.reason)
