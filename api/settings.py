"""The service's settings: every one an environment variable that begins with API_."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Read once at the start; `threads` are workers that decode and infer, off the event loop."""

    model_config = SettingsConfigDict(env_prefix="API_", frozen=True)

    bundle_dir: Path = Path("models/bundle")
    threads: int = Field(default=2, ge=1, le=64)
    top_k: int = Field(default=5, ge=1)
    max_image_bytes: int = Field(default=10_000_000, ge=1)
