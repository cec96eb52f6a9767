"""What can go wrong with the service's database."""

from api.errors import ProductCodeError


class StoreError(ProductCodeError):
    """The database can't be used now: unreachable, full or locked. Nothing was kept."""


class DuplicateError(ProductCodeError):
    """What was to be added is there already: a request id, or a user's name."""


class UnknownPredictionError(ProductCodeError):
    """Feedback on a prediction that isn't kept: never made, or older than the retention."""
