"""What can be told about a script before anything is built: that it compiles, which names and local modules it lacks.

Nothing of it is run. An error here costs a second; the same error in the run costs a build and a wait.
"""

from __future__ import annotations

import ast
import importlib.machinery
import os
import re
import sys
import types
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_mltrain.commands.display import one_line
from jupyter_mltrain.commands.names import IPYTHON_NAMES, Use, undefined
from jupyter_mltrain.errors import PreflightError

_MAGIC_LINE = re.compile(r"^\s*(?:[\w, ]+=\s*)?(%{1,2}[A-Za-z]\w*|!{1,2}\S*)|^\s*\?{1,2}\w|\w\?{1,2}\s*$")

_INTERNAL = re.compile(r"(?:^|\.)(?:_|src\b|python\b)")
"""Modules that hold a name for others to export: not the place to import it from."""


@dataclass(frozen=True)
class Script:
    """A script to look at. `kind` is what messages call it: `cell` or the file's name."""

    text: str
    kind: str = "cell"

    def where(self, line: int) -> str:
        return f"line {line} of the cell" if self.kind == "cell" else f"{self.kind}, line {line}"


def check(
    script: Script,
    *,
    namespace: Mapping[str, Any] | None = None,
    beside: Sequence[Path] = (),
    snapshot: Path | None = None,
) -> list[str]:
    """Look at `script` and return notices: what may go wrong, one line each.

    `namespace` is the kernel's, `beside` the folders where the notebook's local modules lie, `snapshot` the folder that
    goes along with the script (None: only the script). Raises `PreflightError` for what would surely fail: it does not
    compile, a name lives only in the kernel, a local module would not be there.
    """
    tree, code = _compiled(script)
    uses = undefined(tree, code)
    _check_kernel_names(script, uses, namespace or {})
    _check_modules(script, tree, beside, snapshot)
    return [
        f"`{use.name}` is used ({script.where(use.line)}) and defined nowhere in it; the run fails there unless something defines it."
        for use in uses
    ]


def _compiled(script: Script) -> tuple[ast.Module, types.CodeType]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(script.text, script.kind)
            return tree, compile(tree, script.kind, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise _syntax_error(script, error) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise PreflightError(f"The {_noun(script)} does not compile: {error}.", mend="Nothing was started.") from None


def _syntax_error(script: Script, error: SyntaxError) -> PreflightError:
    line = error.lineno or 1
    lines = script.text.splitlines()
    text = lines[line - 1].strip() if 0 < line <= len(lines) else (error.text or "").strip()
    where = script.where(line)
    where = f"L{where[1:]}" if script.kind == "cell" else where
    magic = _MAGIC_LINE.search(text)
    if magic:
        return PreflightError(
            f"{where}: `{one_line(text)}` is IPython's, a script cannot run it.",
            mend=_magic_mend(text),
            line=line,
        )
    mend = "Nothing was started."
    if "await" in (error.msg or "") or "async" in (error.msg or ""):
        mend = "A script has no event loop as a notebook has: put it in a function and call `asyncio.run(…)`."
    return PreflightError(f"{where}: {error.msg}: `{one_line(text)}`", mend=mend, line=line)


def _magic_mend(text: str) -> str:
    if "pip" in text or "conda" in text:
        return "Remove the line; packages belong to the run's environment (`Environment.from_pip_requirements`, then `-e NAME`)."
    if "matplotlib" in text:
        return "Remove the line: in a run, save figures to `outputs/` with `plt.savefig`."
    return "Remove the line, or move it to a cell of its own."


def _check_kernel_names(script: Script, uses: list[Use], namespace: Mapping[str, Any]) -> None:
    """Raise for the first names that the script takes from the kernel, or that certainly nobody defines."""
    in_kernel = [u for u in uses if u.name in namespace and u.name not in IPYTHON_NAMES]
    if in_kernel:
        first = in_kernel[0]
        others = [f"`{u.name}`" for u in in_kernel[1:4]]
        more = f" So do {', '.join(others)}{' …' if len(in_kernel) > 4 else ''}." if others else ""
        raise PreflightError(
            f"`{first.name}` lives in the kernel, not in this {_noun(script)} ({script.where(first.line)}).{more}",
            mend=_kernel_mend(first.name, namespace[first.name]),
            names=[u.name for u in in_kernel],
            line=first.line,
        )
    for use in uses:
        if not use.certain or use.name.startswith("_"):
            continue
        if use.name in IPYTHON_NAMES:
            raise PreflightError(
                f"`{use.name}` is IPython's, a script does not have it ({script.where(use.line)}).",
                mend="Use `print`, log it with `run.log`, or save it to `outputs/`."
                if use.name == "display"
                else "Remove it, or move it to a cell of its own.",
                names=[use.name],
                line=use.line,
            )
        nor = "neither in this cell" if script.kind == "cell" else "nowhere in this script"
        end = ", nor in the kernel" if script.kind == "cell" else ""
        raise PreflightError(
            f"`{use.name}` is defined {nor}{end} ({script.where(use.line)}).",
            mend="Define or import it before it is used.",
            names=[use.name],
            line=use.line,
        )


def _kernel_mend(name: str, value: object) -> str:
    if isinstance(value, types.ModuleType):
        return f"Import it in the cell: `{_import_of(name, value.__name__)}`."
    if isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)):
        return _definition_mend(name, value)
    if isinstance(value, (str, int, float, bool, os.PathLike)):
        option = name.replace("_", "-")
        return f"Pass it to the script: `-- --{option} {{{name}}}`, or define it in the cell."
    return "Load it in the cell: from a dataset (`--data NAME`), or from a file that goes along with `-s .`."


def _import_of(name: str, module: str) -> str:
    """The statement that binds `module` to `name`."""
    parent, _, last = module.rpartition(".")
    if module == name:
        return f"import {module}"
    return f"from {parent} import {name}" if parent and last == name else f"import {module} as {name}"


def _definition_mend(name: str, value: type | types.FunctionType | types.BuiltinFunctionType) -> str:
    module = getattr(value, "__module__", None)
    if not isinstance(module, str) or module in {"__main__", "builtins"}:
        return f"Define `{name}` in the cell, or in a .py file that goes along with `-s .`."
    if _INTERNAL.search(module):
        return f"Import `{name}` in the cell, as the notebook does."
    return f"Import it in the cell: `from {module} import {value.__name__}`."


def _check_modules(script: Script, tree: ast.Module, beside: Sequence[Path], snapshot: Path | None) -> None:
    for module, line in _imports(script, tree):
        if module in sys.stdlib_module_names or (snapshot is not None and _holds(snapshot, module)):
            continue
        found = next((folder for folder in beside if _holds(folder, module)), None)
        if found is None or _installed(module, beside):
            continue
        here = found == beside[0]
        source = "." if here else str(found)
        raise PreflightError(
            f"`{module}` lies beside the notebook and does not go along ({script.where(line)}).",
            mend=f"Send its folder along: `-s {source}`.",
            module=module,
            line=line,
        )


def _imports(script: Script, tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Top-level names of the modules that the script imports for certain: not those in a `try`."""
    optional = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Try, ast.TryStar))
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in optional:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.partition(".")[0], node.lineno
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise PreflightError(
                f"A script is no package, so `from {'.' * node.level}{node.module or ''} import …` fails ({script.where(node.lineno)}).",
                mend="Import the module by its name and send its folder along: `-s .`.",
                line=node.lineno,
            )
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0], node.lineno


def _holds(folder: Path, module: str) -> bool:
    """Whether `folder` holds the module: a file, or a folder with Python in it (a folder of data is none)."""
    package = folder / module
    if (folder / f"{module}.py").is_file() or (package / "__init__.py").is_file():
        return True
    return package.is_dir() and any(package.glob("*.py"))


def _installed(module: str, beside: Sequence[Path]) -> bool:
    """Whether the kernel has the module from elsewhere than the notebook's folders."""
    own = {str(folder.resolve()) for folder in beside}
    path = [entry for entry in sys.path if str(Path(entry or ".").resolve()) not in own]
    try:
        spec = importlib.machinery.PathFinder.find_spec(module, path)
    except (ImportError, ValueError, OSError):
        return False
    return spec is not None and spec.origin is not None


def _noun(script: Script) -> str:
    return "cell" if script.kind == "cell" else "script"
