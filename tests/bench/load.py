"""Clients of a service, each on a connection that it keeps, meant for a process of their own.

`http.client` in threads: what they take of the two cores is counted against the service.
"""

import base64
import http.client
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from api.bundle import Product

BOUNDARY = "a-boundary-that-no-photo-holds"
Body = tuple[bytes, str]
"""Content and its type."""


@dataclass(frozen=True)
class Asking:
    """One kind of request, repeated: POST of the bodies in turn, or GET without any."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    bodies: Sequence[Body] = ()
    pause: float = 0.0
    """Seconds between an answer and the next request."""

    def send(self, connection: http.client.HTTPConnection, number: int) -> int:
        """Asks, and reads the answer; its status."""
        address = urlsplit(self.url)
        target = address.path + ("?" + address.query if address.query else "")
        if self.bodies:
            content, kind = self.bodies[number % len(self.bodies)]
            connection.request("POST", target, content, {**self.headers, "Content-Type": kind})
        else:
            connection.request("GET", target, headers=dict(self.headers))
        answer = connection.getresponse()
        answer.read()
        return answer.status


@dataclass
class Answers:
    """Seconds of each answer that was 200, how many were not, and how long it all took."""

    times: list[float] = field(default_factory=list)
    others: int = 0
    seconds: float = 0.0

    @property
    def per_second(self) -> float:
        """Answers that were 200."""
        return len(self.times) / self.seconds


def ask(asking: Asking, clients: int, seconds: float, each: int | None = None) -> Answers:
    """Lets clients ask for so many seconds, or `each` so many times if that comes first."""
    answers, lock = Answers(), threading.Lock()
    start = time.perf_counter()

    def run(client: int) -> None:
        for status, taken in _converse(asking, client * 31, start + seconds, each):
            with lock:
                if status == 200:
                    answers.times.append(taken)
                else:
                    answers.others += 1

    threads = [threading.Thread(target=run, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers.seconds = time.perf_counter() - start
    return answers


def _converse(
    asking: Asking, first: int, end: float, most: int | None
) -> Iterator[tuple[int, float]]:
    """Status and seconds of each answer to one client."""
    connection = http.client.HTTPConnection(urlsplit(asking.url).netloc, timeout=120)
    number = first
    while time.perf_counter() < end and (most is None or number - first < most):
        start = time.perf_counter()
        status = asking.send(connection, number)
        yield status, time.perf_counter() - start
        number += 1
        time.sleep(asking.pause)
    connection.close()


def as_json(product: Product) -> Body:
    """As a program would send it."""
    image = product.image and base64.b64encode(product.image).decode()
    fields = {"designation": product.designation, "description": product.description}
    return json.dumps({**fields, "image": image}).encode(), "application/json"


def as_form(product: Product, more: Mapping[str, str] | None = None) -> Body:
    """As a browser, or curl -F, would send it."""
    texts = {"designation": product.designation or "", "description": product.description or ""}
    disposition = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="'
    fields = [f'{disposition}{name}"\r\n\r\n{text}\r\n' for name, text in texts.items()]
    fields += [f'{disposition}{name}"\r\n\r\n{text}\r\n' for name, text in (more or {}).items()]
    photo = f'{disposition}image"; filename="photo.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    body = ("".join(fields) + photo).encode() + (product.image or b"")
    return body + f"\r\n--{BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={BOUNDARY}"
