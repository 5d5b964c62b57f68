"""Files of this machine put into a datastore."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jupyter_mltrain.cache import disk_errors
from jupyter_mltrain.core import data_paths
from jupyter_mltrain.data.datastores import Datastores
from jupyter_mltrain.data.places import DriverPlace, LocalPlace
from jupyter_mltrain.data.sources import NotReached
from jupyter_mltrain.errors import PathNotFound, Unreachable, UserErrorException


@dataclass
class Uploaded:
    """Paths in the datastore of the files that it now has; bytes that were written; files that were there already."""

    files: list[str] = field(default_factory=list)
    bytes: int = 0
    skipped: int = 0


def upload(datastores: Datastores, name: str, files: Sequence[tuple[str, str]], *, overwrite: bool) -> Uploaded:
    """Copy each (path on this machine, path in the datastore). One that is there stays unless `overwrite`.

    Raises `PathNotFound`, `DatastoreNotFound`, `Unreachable`, `DiskFull`, and `UserErrorException` for a web address.
    """
    done = Uploaded()
    for source, target in files:
        path = data_paths.clean(target)
        located = datastores.locate(f"{data_paths.DATASTORE}://{name}/{path}")
        place = located.place
        if not Path(source).is_file():
            raise PathNotFound(f"There is no file {source} to upload.")
        try:
            if not overwrite and place.look(located.path) is not None:
                done.skipped += 1
            elif isinstance(place, LocalPlace):
                _copy(Path(source), Path(located.path))
                done.bytes += Path(source).stat().st_size
            elif isinstance(place, DriverPlace):
                place.put(Path(source), located.path)
                done.bytes += Path(source).stat().st_size
            else:
                raise UserErrorException(f"The datastore {name!r} is a web address, which takes no files.")
        except NotReached as error:
            raise Unreachable(f"{path} cannot be written to the datastore {name!r}: {error}.") from error
        done.files.append(path)
    return done


def _copy(source: Path, target: Path) -> None:
    """The whole file or none, also when this process is killed meanwhile."""
    with disk_errors(target.parent, f"uploading {target.name}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name[:200]}.{os.getpid()}.part")
        try:
            shutil.copyfile(source, part)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
