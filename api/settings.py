"""The service's settings: every one an environment variable that begins with API_.

A secret may also stand in a file, named by the variable with _FILE behind: API_SECRET_FILE.
"""

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from api.errors import ProductCodeError

PREFIX = "API_"
IN_FILES = ("secret", "previous_secrets", "database_url", "limits_storage")
SECRET_BYTES = 32
Listed = Annotated[tuple[str, ...], NoDecode]


class SettingsError(ProductCodeError):
    """A setting that is missing or out of bounds; the message never holds its value."""


class Settings(BaseSettings):
    """Read once at the start; sizes in bytes, times in seconds unless the name says otherwise.

    Lists are written with commas between. `threads` decode and infer, off the event loop;
    `queue_size` more may wait. At most `max_batches` files of products are in work at a time; they
    wait on the disk, in TMPDIR. `sqlite_synchronous` NORMAL keeps what was answered whatever ends
    the process, FULL also in a power cut, for some 10 ms more an answer.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, env_ignore_empty=True, hide_input_in_errors=True
    )

    bundle_dir: Path = Path("models/bundle")
    dvc_lock: Path = Path("dvc.lock")
    metrics_file: Path = Path("metrics/evaluate/metrics.json")
    build_revision: str | None = Field(default=None, max_length=100)

    threads: int = Field(default=2, ge=1, le=64)
    queue_size: int = Field(default=64, ge=0)
    top_k: int = Field(default=5, ge=1)

    max_image_bytes: int = Field(default=10_000_000, ge=1)
    max_body_bytes: int = Field(default=15_000_000, ge=1)
    max_text_characters: int = Field(default=20_000, ge=1)
    body_seconds: float = Field(default=30, gt=0)

    max_batch_bytes: int = Field(default=100_000_000, ge=1)
    max_batch_rows: int = Field(default=100_000, ge=1)
    max_archive_bytes: int = Field(default=1_000_000_000, ge=1)
    batch_seconds: float = Field(default=3600, gt=0)
    batch_limit: str = "10/hour"
    max_batches: int = Field(default=4, ge=1)

    secret: SecretStr
    previous_secrets: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    token_minutes: int = Field(default=30, ge=1, le=24 * 60)
    issuer: str = "product-codes"
    audience: str = "product-codes-api"
    predict_limit: str = "10/minute"
    token_limit: str = "5/minute"  # noqa: S105  # a rate, not a password
    limits_storage: str = "memory://"
    trusted_proxies: Listed = ()
    cors_origins: Listed = ()

    database_url: str = "sqlite:///state/service.db"
    sqlite_synchronous: Literal["NORMAL", "FULL"] = "NORMAL"
    retention_days: int = Field(default=365, ge=1)

    log_dir: Path | None = Path("logs")
    drain_seconds: int = Field(default=20, ge=1)

    @field_validator("previous_secrets", "trusted_proxies", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return [part.strip() for part in value.split(",") if part.strip()]

    @field_validator("secret")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value().encode()) < SECRET_BYTES:
            raise ValueError(
                f"at least {SECRET_BYTES} bytes are needed; "
                "`python -c 'import secrets; print(secrets.token_urlsafe(48))'` gives some"
            )
        return value

    @field_validator("previous_secrets")
    @classmethod
    def _each_long_enough(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        return tuple(map(cls._long_enough, value))

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(ipaddress.ip_network(part)) for part in value)

    @field_validator("log_dir", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        """`none` writes no file, as on a read-only disk."""
        return None if value == "none" else value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # pydantic-settings calls it
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then files of secrets."""
        return init_settings, env_settings, _Files(settings_cls)

    @classmethod
    def load(cls, **given: Any) -> "Settings":
        """The settings that the environment gives, but for those given here.

        Raises:
            SettingsError: One is missing or wrong; names it, not its value.
        """
        try:
            return cls(**given)
        except ValidationError as error:
            faults = [
                f"{PREFIX}{str(fault['loc'][0]).upper()}: {fault['msg']}"
                for fault in error.errors(include_input=False, include_url=False)
            ]
            raise SettingsError("; ".join(faults)) from None


class _Files(PydanticBaseSettingsSource):
    """Settings whose variable ends in _FILE: the content of that file, without its last newline."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002  # pydantic-settings calls it
        """Value, name, and that it isn't JSON."""
        path = os.environ.get(f"{PREFIX}{field_name.upper()}_FILE")
        if field_name not in IN_FILES or not path:
            return None, field_name, False
        try:
            return Path(path).read_text(encoding="utf-8").rstrip("\n"), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            name = f"{PREFIX}{field_name.upper()}_FILE"
            raise SettingsError(f"{name}: {path} can't be read: {error}") from error

    def __call__(self) -> dict[str, Any]:
        """Those that are set."""
        found = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in found.items() if value is not None}
