"""Every error a user can cause, with a stable code and a mend.

    MLTrainError
    ├── UserErrorException          what the caller asked for cannot be
    │   ├── UsageError              an option, argument or verb that is wrong
    │   │   ├── InvalidName         a name with characters or a length that is not allowed
    │   │   └── PreflightError      the cell or script would fail before its first line of work
    │   └── NotFoundError           something named that does not exist; carries the nearest names
    │       ├── WorkspaceNotFound  RunNotFound  EnvironmentNotFound  DatasetNotFound  DatastoreNotFound
    │       └── TargetNotFound  ModelNotFound  PathNotFound  WebserviceNotFound
    ├── ComputeTargetException      a compute target: not there (TargetNotFound), not as it must be
    ├── WebserviceException         an endpoint: not there (WebserviceNotFound), does not start or answer
    ├── SourceError                 the source folder cannot be taken as a snapshot
    ├── SubstitutionRefused         what was asked for exists no more, and `strict = true` refuses what is given instead
    ├── ResourceUnavailable         asks for more than the target can ever give (GPUs, CPUs, memory)
    ├── EnvironmentError_           an environment cannot be made
    │   ├── ResolveError            the resolver found no set of packages; carries its own message
    │   ├── BuildFailed             the set exists, installing it failed
    │   └── PythonNotFound          no interpreter of the asked version on this machine
    ├── DataError                   a dataset cannot be fetched
    │   ├── DownloadCorrupt         the bytes that came do not have the known checksum
    │   ├── DatasetChanged          a registered version is not what it was, and the workspace is strict
    │   └── Unreachable             no source answered (network, registry)
    ├── StorageError                the disk or file system says no
    │   ├── DiskFull  NotWritable
    │   └── NoFileLocks             the workspace lies on a file system without locks
    ├── ConflictError               not possible in the present state (a terminal run, an id used twice)
    │   ├── AlreadyThere            a folder or file that would be written over
    │   └── TargetInUse             a compute target with live runs, which keep it
    ├── ServiceError                the workspace's service
    │   ├── ServiceUnavailable      does not start or does not answer
    │   └── ProtocolMismatch        is newer than this client
    ├── TrackingError               MLflow, embedded or of the team
    ├── EngineError                 an engine (local, docker, ray) failed
    │   └── EngineUnreachable       cannot be asked now; nothing is known to have ended
    └── RunFailed                   a run that was waited for did not complete

`UserErrorException`, `ComputeTargetException`, `WebserviceException` and the names at the end of this file are the SDK's:
code that catches those goes on working.

A message says what was given and what is wrong; `mend` says what to do. In a notebook an error shows as those two
lines. A bug (any other exception) keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar


class MLTrainError(Exception):
    """Base of all errors a user can cause.

    Arguments: `message`, what was given and what is wrong, one line; `mend`, what to do about it, one line or empty;
    `details`, JSON values for programs (evidence, nearest names, the resolver's own words).
    """

    code: ClassVar[str] = "error"
    http_status: ClassVar[int] = 400

    def __init__(self, message: str, *, mend: str = "", **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend
        self.details = details

    def __str__(self) -> str:
        return f"{self.message}\n{self.mend}" if self.mend else self.message

    def _render_traceback_(self) -> list[str]:
        # IPython shows these lines in place of a traceback, and still sends a real error message, so that
        # "Run All" stops (a subclass of IPython's UsageError would not do that).
        return [f"{type(self).__name__}: {self.message}", *([self.mend] if self.mend else [])]

    def to_wire(self) -> dict[str, Any]:
        """The error as the service sends it: code, message, mend, details."""
        return {"code": self.code, "message": self.message, "mend": self.mend, "details": self.details}


class UserErrorException(MLTrainError):
    code = "user"


class ComputeTargetException(MLTrainError):
    code = "target"


class WebserviceException(MLTrainError):
    code = "endpoint"


class UsageError(UserErrorException):
    code = "usage"


class InvalidName(UsageError):
    code = "usage.name"


class PreflightError(UsageError):
    code = "usage.preflight"


class NotFoundError(UserErrorException):
    """A name that does not exist. `of` builds the message with the nearest names that do."""

    code = "not_found"
    http_status = 404
    kind: ClassVar[str] = "thing"
    listing: ClassVar[str] = ""

    @classmethod
    def of(cls, name: str, existing: Iterable[str] = ()) -> NotFoundError:
        nearest = difflib.get_close_matches(name, list(existing), n=3, cutoff=0.5)
        if nearest:
            mend = f"Did you mean {' or '.join(nearest)}?"
        else:
            mend = f"`{cls.listing}` lists them." if cls.listing else ""
        return cls(f"There is no {cls.kind} {name!r} here.", mend=mend, name=name, nearest=nearest)


class WorkspaceNotFound(NotFoundError):
    code = "not_found.workspace"
    kind = "workspace"


class RunNotFound(NotFoundError):
    code = "not_found.run"
    kind = "run"
    listing = "%mltrain runs"


class EnvironmentNotFound(NotFoundError):
    code = "not_found.environment"
    kind = "environment"
    listing = "%mltrain env list"


class DatasetNotFound(NotFoundError):
    code = "not_found.dataset"
    kind = "dataset"
    listing = "%mltrain data list"


class DatastoreNotFound(NotFoundError):
    code = "not_found.datastore"
    kind = "datastore"


class TargetNotFound(NotFoundError, ComputeTargetException):
    code = "not_found.target"
    kind = "compute target"
    listing = "%mltrain compute"


class ModelNotFound(NotFoundError):
    code = "not_found.model"
    kind = "model"
    listing = "%mltrain models"


class WebserviceNotFound(NotFoundError, WebserviceException):
    code = "not_found.endpoint"
    kind = "endpoint"
    listing = "%mltrain endpoints"


class PathNotFound(NotFoundError):
    code = "not_found.path"
    kind = "file or folder"


class SourceError(MLTrainError):
    code = "source"


class SubstitutionRefused(MLTrainError):
    code = "substitution"


class ResourceUnavailable(MLTrainError):
    code = "resources"


class EnvironmentError_(MLTrainError):  # noqa: N801 - EnvironmentError is a builtin's name
    code = "environment"


class ResolveError(EnvironmentError_):
    code = "environment.resolve"


class BuildFailed(EnvironmentError_):
    code = "environment.build"


class PythonNotFound(EnvironmentError_):
    code = "environment.python"


class DataError(MLTrainError):
    code = "data"


class DownloadCorrupt(DataError):
    code = "data.corrupt"


class DatasetChanged(DataError):
    code = "data.changed"


class Unreachable(DataError):
    code = "data.unreachable"


class StorageError(MLTrainError):
    code = "storage"
    http_status = 507


class DiskFull(StorageError):
    code = "storage.full"


class NotWritable(StorageError):
    code = "storage.readonly"


class NoFileLocks(StorageError):
    code = "storage.locks"


class ConflictError(MLTrainError):
    code = "conflict"
    http_status = 409


class AlreadyThere(ConflictError, FileExistsError):
    code = "conflict.there"


class TargetInUse(ConflictError, ComputeTargetException):
    code = "conflict.target"


class ServiceError(MLTrainError):
    code = "service"
    http_status = 503


class ServiceUnavailable(ServiceError):
    code = "service.unavailable"


class ProtocolMismatch(ServiceError):
    code = "service.protocol"
    http_status = 426


class TrackingError(MLTrainError):
    code = "tracking"
    http_status = 502


class EngineError(MLTrainError):
    code = "engine"
    http_status = 502


class EngineUnreachable(EngineError):
    code = "engine.unreachable"


class RunFailed(MLTrainError):
    code = "run.failed"


def _tree(cls: type[MLTrainError]) -> dict[str, type[MLTrainError]]:
    found = {cls.code: cls}
    for sub in cls.__subclasses__():
        found |= _tree(sub)
    return found


BY_CODE: Mapping[str, type[MLTrainError]] = _tree(MLTrainError)
"""Stable code -> class. The class knows its HTTP status."""


def from_wire(payload: Mapping[str, Any]) -> MLTrainError:
    """The exception that `to_wire` described; an unknown code (a newer service) becomes the nearest parent class."""
    code = str(payload.get("code", "error"))
    while code not in BY_CODE and "." in code:
        code = code.rpartition(".")[0]
    cls = BY_CODE.get(code, MLTrainError)
    return cls(str(payload.get("message", "")), mend=str(payload.get("mend", "")), **dict(payload.get("details") or {}))


# Names that the SDK gives to what is an error above.
ModelNotFoundException = ModelNotFound
ModelPathNotFoundException = PathNotFound
ActivityFailedException = RunFailed
SnapshotException = SourceError
