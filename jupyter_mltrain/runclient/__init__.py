"""What reaches the training environment: one folder, standard library only, Python 3.8 and later.

`inject` copies it into a run folder, and PYTHONPATH puts it first. It holds a package that is named `jupyter_mltrain` too:
`Run`, a Keras callback, an MLflow tracking store, and the shim (`_shim`). Names it lacks fall through to a really installed
jupyter_mltrain. It must not be imported from here by its short name; engines import
`jupyter_mltrain.runclient.injected.jupyter_mltrain._shim`.

The stream format
-----------------
Each process of a run appends to `streams/r<rank>-<pid>.metrics`: JSON lines, UTF-8, one `write` per record. A line that has
no end yet is not a record; a line that is no JSON (a process was killed on a full disk) is none either.

    ["name", step, time, value]     a scalar. `step`: integer or null; `time`: seconds since the epoch; `value`: number (also
                                    NaN, Infinity, -Infinity), string, true, false or null
    {"k": KIND, "t": time, …}       anything else; readers keep kinds they do not know

    list      name values step          row       name row             table     name table
    image     name path step            tag       key value            property  key value
    param     key value                 artifact  path                 progress  label value total

Paths are relative to the run's `work` folder. What the run uses of its node is in `streams/r<rank>.system`, written by its
shim in the same form (`_shim/system.py`): those are no metrics.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys
from pathlib import Path
from typing import Any

SHIM = "jupyter_mltrain/_shim/__main__.py"
"""The shim inside the injected folder: `python -I -S <folder>/<SHIM> VERB …`."""


def folder() -> Path:
    """The folder that runs get a copy of."""
    return Path(__file__).parent / "injected"


def inject(into: Path) -> None:
    """Copy the run client to the folder `into`. Replaces what is there, so that a copy that was cut short is mended.

    Never a link: a script may write where it likes, and must not reach the package itself.
    """
    made: set[Path] = set()
    for relative, data, modified in _contents():
        target = into / relative
        if target.parent not in made:
            target.parent.mkdir(parents=True, exist_ok=True)
            made.add(target.parent)
        target.write_bytes(data)
        # Compiled files are valid for a source of exactly that time.
        os.utime(target, ns=(modified, modified))


@functools.cache
def _contents() -> tuple[tuple[str, bytes, int], ...]:
    """Each file of the folder: path, content, time of modification (ns). Read once, so that all runs of a service get the
    same, and in a moment; with compiled files for the Pythons of this version."""
    import compileall  # noqa: PLC0415 - only the service needs it

    with contextlib.suppress(OSError):  # an installer has done it already; a checkout that may be written does it here
        compileall.compile_dir(folder(), quiet=2)
    top = folder()
    compiled = f".{sys.implementation.cache_tag}.pyc"
    files = [path for path in sorted(top.rglob("*")) if path.is_file()]
    return tuple(
        (path.relative_to(top).as_posix(), path.read_bytes(), path.stat().st_mtime_ns)
        for path in files
        if path.suffix != ".pyc" or path.name.endswith(compiled)
    )


def context(*, allow_offline: bool = True) -> Any:
    """The run that this process is: inside a run its live client, elsewhere an offline run that prints.

    It is the same object as `Run.get_context()` of the injected package, so that a script that reaches a really installed
    jupyter_mltrain logs to one stream.
    """
    try:
        module = importlib.import_module("jupyter_mltrain._run")  # there only inside a run
    except ModuleNotFoundError:
        module = importlib.import_module("jupyter_mltrain.runclient.injected.jupyter_mltrain._run")
    return module.Run.get_context(allow_offline=allow_offline)
