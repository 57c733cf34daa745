"""How the console reaches the broker: options, then ``KIOSKCTL_*``, then a TOML file."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from console.errors import SettingsError
from contract import DEFAULT_ROOT
from contract.topics import check_root
from contract.wire import describe

DEFAULT_FILE = Path("~/.config/kioskctl.toml")
_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """Where the broker listens."""

    host: str
    port: int
    tls: bool
    websocket_path: str | None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def parse_broker(url: str) -> Address:
    """Read ``mqtt://``, ``mqtts://``, ``ws://`` and ``wss://`` URLs; raises ``ValueError``."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        msg = f"{url!r}: expected such as mqtts://host:8883 (mqtt, mqtts, ws or wss)"
        raise ValueError(msg)
    if parts.username or parts.password:
        msg = "user and password do not belong into the URL, where every process list shows them"
        raise ValueError(msg)
    websocket = parts.scheme.startswith("ws")
    if parts.query or parts.fragment or (parts.path.strip("/") and not websocket):
        msg = f"{url!r}: nothing may follow the port"
        raise ValueError(msg)
    return Address(
        host=parts.hostname,
        port=parts.port or _PORTS[parts.scheme],
        tls=parts.scheme in {"mqtts", "wss"},
        websocket_path=(parts.path or "/mqtt") if websocket else None,
    )


class ConsoleSettings(BaseSettings):
    """Every default works with a broker on this machine."""

    model_config = SettingsConfigDict(env_prefix="KIOSKCTL_", extra="forbid", frozen=True)

    broker: str = "mqtt://127.0.0.1"
    user: str | None = None
    password: SecretStr | None = Field(default=None, description="Not an option, on purpose.")
    password_file: Path | None = None
    ca: Path | None = Field(default=None, description="PEM; default: the system's roots.")
    certificate: Path | None = None
    certificate_key: Path | None = None
    sign_key: Path | None = Field(default=None, description="The operator's private key.")
    root: str = DEFAULT_ROOT
    lang: Literal["en", "zh"] = "en"

    @field_validator("broker")
    @classmethod
    def _check_broker(cls, value: str) -> str:
        parse_broker(value)
        return value

    @field_validator("root")
    @classmethod
    def _check_root(cls, value: str) -> str:
        return check_root(value)

    @model_validator(mode="after")
    def _both(self) -> "ConsoleSettings":
        if (self.certificate is None) != (self.certificate_key is None):
            msg = "a client certificate needs both 'certificate' and 'certificate_key'"
            raise ValueError(msg)
        return self

    @property
    def address(self) -> Address:
        """Where the broker listens."""
        return parse_broker(self.broker)

    def read_password(self) -> str | None:
        """Return the password, from its file where one is named."""
        if self.password_file is None:
            return None if self.password is None else self.password.get_secret_value()
        try:
            return self.password_file.expanduser().read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            msg = f"password file {self.password_file}: {error}"
            raise SettingsError(msg) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is theirs
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Options first, then the environment, then the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load(file: Path | None = None, **options: Any) -> ConsoleSettings:
    """Read the settings; an option that is ``None`` was not given.

    Raises:
        SettingsError: a value is wrong, or a file that was asked for is not there.
    """
    path = (file or DEFAULT_FILE).expanduser()
    if file is not None and not path.is_file():
        msg = f"no settings file {path}"
        raise SettingsError(msg)

    class FromFile(ConsoleSettings):
        model_config = SettingsConfigDict(toml_file=path)

    try:
        return FromFile(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        raise SettingsError(describe(error).removeprefix("message: ")) from None
    except (OSError, tomllib.TOMLDecodeError) as error:
        msg = f"{path}: {error}"
        raise SettingsError(msg) from None
