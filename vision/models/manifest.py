"""The list of models: name, file, task, hash, licence, origin and measured figures of each.

The project's own is ``manifest.toml`` beside this file. Who brings other networks writes one of
the same form; a file in it is named by its path, relative to the list or absolute.
"""

import hashlib
import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from vision.models.errors import ManifestError, MissingModelError, WrongHashError

SHIPPED = Path(__file__).with_name("manifest.toml")
"""The project's own list."""

Role = Literal["plate-detector", "plate-reader", "face-detector", "face-recogniser"]


class Model(BaseModel):
    """One model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")]
    """With its version: it stands in the events."""
    file: Path
    """As listed, beside the list; absolute once it is read."""
    role: Role
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    licence: str
    """SPDX identifier."""
    training_commit: str | None = None
    """The recipe's commit; absent where the model came from elsewhere."""
    made: date
    figures: dict[str, float | int | str] = {}
    """What was measured, the unit in the name."""

    @field_validator("file")
    @classmethod
    def _beside_the_list(cls, file: Path, info: ValidationInfo) -> Path:
        return Path(info.context) / file if info.context else file

    def read(self) -> bytes:
        """Read the file; what is returned has the hash that the list names.

        Raises:
            MissingModelError: it is not there or cannot be read.
            WrongHashError: it is another file.
        """
        try:
            content = self.file.read_bytes()
        except OSError as error:
            msg = f"model {self.name}: {self.file} cannot be read ({error.strerror}); install again"
            raise MissingModelError(msg) from error
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256:
            msg = (
                f"model {self.name}: {self.file} has the SHA-256 {found}, expected is "
                f"{self.sha256}: it is damaged or was replaced; it is not loaded. Install again, "
                "or correct the list of models where the change was meant"
            )
            raise WrongHashError(msg)
        return content


class Manifest(BaseModel):
    """A list of models."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: tuple[Model, ...] = ()

    def pick(self, role: Role) -> Model:
        """Return the first model for a task.

        Raises:
            MissingModelError: there is none.
        """
        for model in self.model:
            if model.role == role:
                return model
        msg = f"no model for the task {role} is listed; add one to the list of models"
        raise MissingModelError(msg)


def load_manifest(path: Path = SHIPPED) -> Manifest:
    """Read a list of models.

    Raises:
        ManifestError: it cannot be read or says something wrong.
    """
    try:
        listed = tomllib.loads(path.read_text(encoding="utf-8"))
        manifest = Manifest.model_validate(listed, context=path.absolute().parent)
    except OSError as error:
        msg = f"list of models {path}: {error.strerror}"
        raise ManifestError(msg) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"list of models {path}: {error}"
        raise ManifestError(msg) from error
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()
        )
        msg = f"list of models {path}: {faults}"
        raise ManifestError(msg) from error
    names = [model.name for model in manifest.model]
    if len(set(names)) < len(names):
        msg = f"list of models {path}: a name is given twice"
        raise ManifestError(msg)
    return manifest
