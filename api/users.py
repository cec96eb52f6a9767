"""Manages accounts: `python -m api.users add|passwd|disable|enable|list`.

The database is the service's, that of API_DATABASE_URL. A password is asked for, or read from the
standard input when that is no terminal: on the command line others could see it.
"""

import argparse
import getpass
import sys
from collections.abc import Sequence

from pydantic import SecretStr, ValidationError

from api.accounts import SCOPES, Accounts
from api.database import Database
from api.errors import ProductCodeError
from api.passwords import ROUNDS, PasswordError
from api.settings import SECRET_BYTES, Settings, SettingsError


def main(arguments: Sequence[str] | None = None, rounds: int = ROUNDS) -> int:
    """Runs one command; says what the user can do, and returns 1, when it fails."""
    given = _parser().parse_args(arguments)
    try:
        database = Database(_database_url())
        database.open()
        _run(given, Accounts(database, rounds))
        database.close()
    except ProductCodeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _database_url() -> str:
    """The service's; its secret isn't needed, as no token is signed here."""
    try:
        return Settings(secret=SecretStr("-" * SECRET_BYTES)).database_url
    except ValidationError as error:
        raise SettingsError(str(error)) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m api.users", description="Manages accounts.")
    commands = parser.add_subparsers(dest="command", required=True)
    helps = {
        "add": "makes an account, with the password it asks for",
        "passwd": "sets another password; old tokens stop working",  # pragma: allowlist secret
        "disable": "refuses the user and all tokens given, at once",
        "enable": "lets a disabled user ask for tokens again",
    }
    for command, told in helps.items():
        commands.add_parser(command, help=told).add_argument("name")
    commands.choices["add"].add_argument(
        "--scopes",
        nargs="+",
        default=["predict", "feedback"],
        choices=sorted(SCOPES),
        help="what the user's tokens may allow (default: predict feedback)",
    )
    commands.add_parser("list", help="shows every account, without its password's hash")
    return parser


def _run(given: argparse.Namespace, accounts: Accounts) -> None:
    match given.command:
        case "add":
            accounts.add(given.name, _password(), given.scopes)
        case "passwd":
            accounts.set_password(given.name, _password())
        case "disable":
            accounts.disable(given.name)
        case "enable":
            accounts.enable(given.name)
        case _:
            _show(accounts)


def _show(accounts: Accounts) -> None:
    for account in accounts.all():
        state = "disabled" if account.disabled else "enabled"
        print(account.name, state, ",".join(sorted(account.scopes)), sep="\t")


def _password() -> str:
    """Asks twice on a terminal; otherwise the first line of the standard input."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise PasswordError("the two passwords differ: nothing was changed, try again")
    return password


if __name__ == "__main__":
    sys.exit(main())
