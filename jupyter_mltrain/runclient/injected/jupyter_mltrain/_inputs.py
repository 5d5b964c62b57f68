"""A dataset as a script gets it: its path, which also answers what the SDK's dataset object is asked."""

from __future__ import annotations

import os
import shutil


class InputDataset(str):
    """The path of a folder, or of a single file. The files are there already: nothing needs to be mounted."""

    __slots__ = ()

    def to_path(self) -> list[str]:
        """Paths of its files in it, each with a `/` in front."""
        if os.path.isfile(self):
            return ["/" + os.path.basename(self)]
        found = []
        for folder, _, names in os.walk(self):
            found += [os.path.relpath(os.path.join(folder, name), self) for name in names]
        return ["/" + path for path in sorted(found)]

    def download(self, target_path: str | None = None, overwrite: bool = False) -> list[str]:
        """Copy its files into a folder (default: `data` in the working folder), and return their paths."""
        target = target_path or "data"
        made = []
        for path in self.to_path():
            source = str(self) if os.path.isfile(self) else str(self) + path
            copy = os.path.join(target, path[1:])
            if os.path.lexists(copy) and not overwrite:
                raise FileExistsError(copy)
            os.makedirs(os.path.dirname(copy) or ".", exist_ok=True)
            shutil.copyfile(source, copy)
            made.append(copy)
        return made
