"""Accounts: who may get a token, and for what."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from api.database import Database
from api.errors import ProductCodeError
from api.passwords import ROUNDS, hash_password
from api.records import now
from api.store_errors import DuplicateError
from api.tables import UserRow

SCOPES = {
    "predict": "Classer des produits",
    "feedback": "Donner le bon code d'un produit classé",
    "admin": "Voir et corriger ce que d'autres ont classé",
}
"""What a token may allow, with the words that the API's documentation shows."""
NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")

ACCOUNTS = select(
    UserRow.name, UserRow.password_hash, UserRow.scopes, UserRow.disabled, UserRow.version
)
BY_NAME = ACCOUNTS.where(UserRow.name == bindparam("wanted"))
"""Made once: each request looks its user up."""


class AccountError(ProductCodeError):
    """An account that can't be made or isn't there; the message says what to give instead."""


@dataclass(frozen=True)
class Account:
    """A user as the database has it; `version` grows with every change of what tokens rest on."""

    name: str
    password_hash: str
    scopes: frozenset[str]
    disabled: bool
    version: int


class Accounts:
    """The users table. Every method blocks, and raises StoreError if the database can't."""

    def __init__(self, database: Database, rounds: int = ROUNDS) -> None:
        self._database = database
        self._rounds = rounds

    def add(self, name: str, password: str, scopes: Iterable[str]) -> None:
        """Makes an account.

        Raises:
            AccountError: The name is malformed, or a scope unknown.
            DuplicateError: The name is taken.
            PasswordError: The password can't be set.
        """
        values = {
            "name": _name(name),
            "password_hash": hash_password(password, self._rounds),
            "scopes": _scopes(scopes),
            "disabled": False,
            "version": 1,
            "created": now(),
        }
        with self._database.writing("adding a user") as connection:
            try:
                connection.execute(insert(UserRow).values(values))
            except IntegrityError as error:
                raise DuplicateError(f"user {name!r} exists: choose another name") from error

    def get(self, name: str) -> Account | None:
        """The account of that name, whether disabled or not."""
        with self._database.reading("reading a user") as connection:
            row = connection.execute(BY_NAME, {"wanted": name}).mappings().one_or_none()
        return _account(row) if row else None

    def all(self) -> list[Account]:
        """Every account, by name."""
        with self._database.reading("listing users") as connection:
            rows = connection.execute(ACCOUNTS.order_by(UserRow.name)).mappings()
            return [_account(row) for row in rows]

    def disable(self, name: str) -> None:
        """Refuses new tokens, and every token given before, from the next request on.

        Raises:
            AccountError: There is no such account.
        """
        self._change(name, disabled=True)

    def enable(self, name: str) -> None:
        """Allows new tokens again; those given before stay refused.

        Raises:
            AccountError: There is no such account.
        """
        self._change(name, disabled=False)

    def set_password(self, name: str, password: str) -> None:
        """Sets another password; tokens given before stop working.

        Raises:
            AccountError: There is no such account.
            PasswordError: The password can't be set.
        """
        self._change(name, password_hash=hash_password(password, self._rounds))

    def _change(self, name: str, **values: Any) -> None:
        statement = update(UserRow).where(UserRow.name == name)
        with self._database.writing("changing a user") as connection:
            result = connection.execute(statement.values(version=UserRow.version + 1, **values))
        if not result.rowcount:
            raise AccountError(f"there is no user {name!r}: `list` shows the names there are")


def _name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise AccountError(
            f"user name {name!r}: give up to 64 of a-z, 0-9, '.', '_', '@' and '-', "
            "a letter or digit first"
        )
    return name


def _scopes(scopes: Iterable[str]) -> str:
    wanted = set(scopes)
    if not wanted or not wanted <= SCOPES.keys():
        raise AccountError(f"scopes {sorted(wanted)}: give one or more of {', '.join(SCOPES)}")
    return " ".join(sorted(wanted))


def _account(row: RowMapping) -> Account:
    return Account(
        name=row["name"],
        password_hash=row["password_hash"],
        scopes=frozenset(row["scopes"].split()),
        disabled=row["disabled"],
        version=row["version"],
    )
