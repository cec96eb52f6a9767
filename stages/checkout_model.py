"""Brings the bundle of any revision into models/bundle, and touches nothing else.

`python -m stages.checkout_model REV`: a commit, branch, tag, experiment, version such as v1.2.0, or
`champion`. From DVC's cache where it is there, else from the remote.
"""

import logging
import sys
import tempfile
from pathlib import Path

from api import bundle
from api.errors import ProductCodeError
from stages.promotion import registry, tracked
from stages.promotion.revisions import BUNDLE, Revision, RevisionError
from stages.promotion.swap import replace

logger = logging.getLogger(__name__)


class CheckoutError(ProductCodeError):
    """A bundle that came, and isn't what dvc.lock says."""


def main(name: str, place: Path = Path(BUNDLE)) -> None:
    """Replaces `place` at once by the revision's bundle, if this code can serve it.

    Raises:
        ProductCodeError: It can't be had or served; `place` is as it was.
    """
    revision = Revision.read(named(name))
    if place.is_dir() and bundle.version(place) == revision.version:
        logger.info("%s is bundle %s of %s already", place, revision.version, revision.short)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".checkout-") as folder:
        brought = tracked.fetch(revision, BUNDLE, Path(folder) / "bundle")
        check(brought, revision)
        replace(brought, place)
    logger.info("%s is bundle %s of %s", place, revision.version, revision.short)
    logger.info("serve it: `make serve`; back to dvc.lock: `dvc checkout %s`", place)


def named(name: str) -> str:
    """The commit that a version's name or `champion` stands for; other names as they are.

    Raises:
        RevisionError: There is no champion.
    """
    if name == registry.STAGE:
        found = registry.champion()
        if found is None:
            raise RevisionError("no champion yet: `make promote` makes the first")
        return found.sha
    return registry.get(name).sha if registry.VERSION.fullmatch(name) else name


def check(path: Path, revision: Revision) -> None:
    """Whether it is the bundle that dvc.lock names, and one that this code reads.

    Raises:
        CheckoutError: It is another.
        BundleError: It can't be served, of an older format for example.
    """
    found = bundle.load(path).version
    if found != revision.version:
        raise CheckoutError(
            f"{BUNDLE} of {revision.short} came as {found}, dvc.lock says {revision.version}: the "
            "remote or the cache is corrupt; `dvc push` it again where it was made"
        )


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)-7s %(message)s")
    if len(sys.argv) != 2 or not sys.argv[1]:  # noqa: PLR2004  the program and the revision
        sys.exit(
            "usage: make checkout-model REV=commit, branch, tag, experiment, v1.2.0 or champion"
        )
    try:
        main(sys.argv[1])
    except ProductCodeError as failure:
        logger.error("%s", failure)
        sys.exit(1)
