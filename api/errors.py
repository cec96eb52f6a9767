"""The base of every error that this project raises on purpose."""


class ProductCodeError(Exception):
    """Something a user can act on: the message names what was wrong and what to do."""
