"""The list of models: name, file, task, hash, licence, origin and measured figures of each.

The project's own is ``manifest.toml`` beside this file. Who brings other networks writes one of
the same form; a file in it is named by its path, relative to the list, or to the installed package
that brings it, or absolute.
"""

import hashlib
import tomllib
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from vision.models.errors import ManifestError, MissingModelError, WrongHashError

SHIPPED = Path(__file__).with_name("manifest.toml")
"""The project's own list."""

Role = Literal[
    "plate-detector",
    "plate-reader",
    "face-detector",
    "face-landmarks",
    "face-recogniser",
    "presentation-attack",
]
Rate = Annotated[float, Field(ge=0, le=1)]
Similarity = Annotated[float, Field(ge=-1, le=1)]


class Calibration(BaseModel):
    """What similarities of a face recogniser mean: thresholds, and the set they were found on.

    The rates are those at ``match_at`` on the set's pairs, with their 95 % confidence intervals.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")]
    """It stands in the events."""
    set: str
    """Its name."""
    pictures: int
    persons: int
    genuine_pairs: int
    """Two pictures of one person."""
    impostor_pairs: int
    """Two pictures of two persons."""
    match_at: Similarity
    """As similar or more: the same person."""
    no_match_below: Similarity
    """Less similar: another person. Between the two it is left to a human."""
    identify_at: Similarity
    """As similar or more: the one of many enrolled."""
    fmr: Rate
    """False matches, of the pairs of two persons."""
    fmr_low: Rate
    fmr_high: Rate
    fnmr: Rate
    """Missed matches, of the pairs of one person."""
    fnmr_low: Rate
    fnmr_high: Rate

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.no_match_below <= self.match_at <= self.identify_at:
            msg = "no_match_below, match_at and identify_at must not fall"
            raise ValueError(msg)
        return self


class Model(BaseModel):
    """One model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")]
    """With its version: it stands in the events."""
    package: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """An installed package that brings the file; it is looked for and never imported."""
    file: Path
    """As listed, beside the list or in the package; absolute once it is read."""
    role: Role
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    licence: str
    """SPDX identifier."""
    training_commit: str | None = None
    """The recipe's commit; absent where the model came from elsewhere."""
    made: date
    figures: dict[str, float | int | str] = {}
    """What was measured, the unit in the name."""
    calibration: Calibration | None = None
    """Of a face recogniser."""

    @field_validator("file")
    @classmethod
    def _beside_the_list(cls, file: Path, info: ValidationInfo) -> Path:
        if package := info.data.get("package"):
            return (_folder(package) or Path(package)) / file
        return Path(info.context) / file if info.context else file

    def read(self) -> bytes:
        """Read the file; what is returned has the hash that the list names.

        Raises:
            MissingModelError: it is not there or cannot be read.
            WrongHashError: it is another file.
        """
        if self.package and not self.file.is_absolute():
            msg = f"model {self.name}: the package {self.package} is not installed; install again"
            raise MissingModelError(msg)
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


def _folder(package: str) -> Path | None:
    """Find an installed package."""
    spec = find_spec(package)
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))).absolute() if places else None


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
