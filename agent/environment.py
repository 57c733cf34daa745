"""Settings that environment variables override."""

from typing import Any

from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from agent.settings import ENV_PREFIX, Settings


class _Environment(Settings, BaseSettings):
    # Only asked for its fields, never made.
    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", defer_build=True
    )


def tables() -> dict[str, Any]:
    """Return what the environment sets, in the shape of the settings file.

    Raises:
        ValueError: a variable is not JSON where it must be.
    """
    return EnvSettingsSource(_Environment)()
