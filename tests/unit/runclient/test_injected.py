"""The injected folder: old Pythons, the standard library alone, and a really installed package behind it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from jupyter_mltrain import runclient

SOURCES = sorted(runclient.folder().rglob("*.py"))
OTHERS = {"matplotlib", "mlflow", "keras", "tensorflow", "tf_keras", "horovod"}


def python(code: str, *path: Path, isolated: bool = True) -> subprocess.CompletedProcess[str]:
    """Run `code` with PYTHONPATH made of `path`, without site packages unless `isolated` is false."""
    env = {"PYTHONPATH": os.pathsep.join(map(str, path)), "PATH": os.defpath}
    command = [sys.executable, *(["-S"] if isolated else []), "-c", textwrap.dedent(code)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False, cwd="/")


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.name)
def test_every_file_is_python_3_8(path: Path) -> None:
    ast.parse(path.read_text("utf-8"), feature_version=(3, 8))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.name)
def test_every_file_needs_the_standard_library_alone(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        for name in names:
            top = name.partition(".")[0]
            assert top in sys.stdlib_module_names | {"jupyter_mltrain"} or (
                top in OTHERS
                and path.name in {"_mlflow_store.py", "_figures.py", "gpu_probe.py", "keras.py", "rendezvous_server.py"}
            ), f"{path.name} imports {name}"


def test_a_copy_is_complete_and_mends_a_torn_one(tmp_path: Path) -> None:
    into = tmp_path / "inject"
    runclient.inject(into)
    assert (into / runclient.SHIM).is_file()
    (into / runclient.SHIM).write_text("torn")
    runclient.inject(into)
    for path in SOURCES:
        assert (into / path.relative_to(runclient.folder())).read_bytes() == path.read_bytes()
    assert list(into.glob("*.dist-info/entry_points.txt"))


def test_import_is_light() -> None:
    said = python("import jupyter_mltrain, sys; print(*sorted(sys.modules))", runclient.folder())
    loaded = set(said.stdout.split())
    assert {name for name in loaded if name.startswith("jupyter_mltrain")} == {"jupyter_mltrain"}
    assert not loaded & {"json", "threading", "subprocess", "importlib.util"}


def test_a_name_that_nobody_has_is_a_clear_attribute_error() -> None:
    said = python("import jupyter_mltrain\njupyter_mltrain.Workspace", runclient.folder())
    assert "AttributeError" in said.stderr
    assert "add the package jupyter-mltrain to the run's environment" in said.stderr
    assert "ImportError" in python("from jupyter_mltrain import Workspace", runclient.folder()).stderr


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A package of the same name, as an environment would have it."""
    package = tmp_path / "site" / "jupyter_mltrain"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "import builtins\nbuiltins.ran = getattr(builtins, 'ran', 0) + 1\n"
        "from jupyter_mltrain.deep import thing\n"
        "def __getattr__(name):\n    if name == 'lazy':\n        from . import deep\n        return deep.thing\n"
        "    raise AttributeError(name)\n"
        "Run = 'the kernel side one'\n__version__ = '9.9'\n"
    )
    (package / "deep.py").write_text("thing = 'from the installed one'")
    (package / "keras.py").write_text("raise RuntimeError('not this one')")
    return tmp_path / "site"


def test_what_the_installed_package_has_is_found_behind(installed: Path) -> None:
    code = """
    import builtins
    import jupyter_mltrain
    assert not hasattr(builtins, "ran"), "it runs only when it is needed"
    from jupyter_mltrain import Run
    assert Run.__module__ == "jupyter_mltrain._run", Run
    import jupyter_mltrain.deep
    assert jupyter_mltrain.deep.thing == "from the installed one"
    assert not hasattr(builtins, "ran")
    assert jupyter_mltrain.lazy == "from the installed one"
    assert jupyter_mltrain.thing == "from the installed one"
    assert jupyter_mltrain.__version__ == "9.9"
    assert builtins.ran == 1
    from jupyter_mltrain import keras
    assert keras.MLTrainCallback.__module__ == "jupyter_mltrain.keras"
    try:
        jupyter_mltrain.nothing
    except AttributeError:
        print("ok")
    """
    said = python(code, runclient.folder(), installed)
    assert said.stdout == "ok\n", said.stderr


def test_the_real_package_gives_a_script_the_same_run(tmp_path: Path) -> None:
    """In an environment that has the package (`current`), both ways to the run lead to one object and one file."""
    code = f"""
    import os
    os.environ.update(MLTRAIN_RUN_ID="e_1_aa", MLTRAIN_STREAMS={str(tmp_path)!r})
    from jupyter_mltrain import Run
    from jupyter_mltrain import runclient
    assert runclient.context() is Run.get_context()
    from jupyter_mltrain.errors import MLTrainError
    Run.get_context().log("a", 1)
    runclient.context().log("b", 2)
    """
    said = python(code, runclient.folder(), Path(runclient.__file__).parents[2], isolated=False)
    assert said.stderr == ""
    (path,) = tmp_path.iterdir()
    assert len(path.read_bytes().splitlines()) == 2


def test_scripts_of_the_sdk_find_their_run(tmp_path: Path) -> None:
    code = f"""
    import os
    os.environ.update(MLTRAIN_RUN_ID="e_1_aa", MLTRAIN_STREAMS={str(tmp_path)!r})
    import azureml.core
    from azureml.core import Run
    from azureml.core.run import Run as same
    import jupyter_mltrain
    assert Run is same is jupyter_mltrain.Run is azureml.core.Run
    run = Run.get_context()
    run.log("accuracy", 0.5)
    try:
        from azureml.core import Workspace
    except ImportError as error:
        print(azureml.core.__name__, run.id)
    """
    said = python(code, runclient.folder())
    assert said.stdout == "azureml.core e_1_aa\n", said.stderr
    (path,) = tmp_path.iterdir()
    assert b'"accuracy"' in path.read_bytes()
    assert (
        "use an environment that has the SDK"
        in python("import azureml.core as a\na.Dataset", runclient.folder()).stderr
    )


def test_the_sdk_itself_comes_first_where_it_is_installed(tmp_path: Path) -> None:
    core = tmp_path / "site" / "azureml" / "core"
    core.mkdir(parents=True)
    (core / "__init__.py").write_text("VERSION = 'its own'\n")
    (core / "run.py").write_text("Run = 'its own'\n")
    (tmp_path / "other" / "azureml" / "train").mkdir(parents=True)
    (tmp_path / "other" / "azureml" / "train" / "__init__.py").write_text("here = True\n")
    code = """
    import azureml.core, azureml.train
    from azureml.core.run import Run
    print(azureml.core.VERSION, Run, azureml.train.here)
    """
    said = python(code, runclient.folder(), tmp_path / "other", tmp_path / "site")
    assert said.stdout == "its own its own True\n", said.stderr


def test_a_scoring_script_finds_its_model(tmp_path: Path) -> None:
    for version in ("9", "10"):
        folder = tmp_path / "models" / "mnist" / version
        folder.mkdir(parents=True)
        (folder / "model.pkl").write_text(version)
    code = """
    import os
    from azureml.core.model import Model, ModelNotFoundException
    for given in (ROOT, ROOT + "/mnist/10"):
        os.environ["AZUREML_MODEL_DIR"] = given
        print(Model.get_model_path("mnist"), Model.get_model_path("mnist", version=9))
    try:
        Model.get_model_path("other")
    except ModelNotFoundException as error:
        print(error)
    """
    root = str(tmp_path / "models")
    said = python(f"ROOT = {root!r}\n{textwrap.dedent(code)}", runclient.folder())
    *paths, missing = said.stdout.splitlines()
    assert paths == [f"{root}/mnist/10/model.pkl {root}/mnist/9/model.pkl"] * 2, said.stderr
    assert "There is no model 'other'" in missing
