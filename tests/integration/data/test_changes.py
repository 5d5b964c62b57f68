"""Data that changes, or would be changed by a run: prevented where that can be, told where not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_mltrain.api.dataset import Dataset
from jupyter_mltrain.api.run import Run
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.client import starter
from jupyter_mltrain.core.layout import Layout
from tests.integration.data.scripts import READ, seen
from tests.unit.data.local_mirror import LocalMirror

WRITE = READ + "\nopen(os.path.join(path, 'a.csv'), 'w').write('written'); print('wrote')\n"


def no_namespaces(workspace: Workspace) -> None:
    """From now on as on a machine that has none."""
    config = workspace.root / ".mltrain" / "config.toml"
    text = config.read_text("utf-8").replace("[targets.local]\n", "[targets.local]\nread_only_data = false\n")
    config.write_text(text, "utf-8")
    workspace.connection.post("/v1/handover")
    starter.wait_until_gone(Layout(workspace.root))


def running(run: Run) -> dict[str, Any]:
    """What was seen when it ran."""
    return next(change["evidence"] for change in run.refresh()["history"] if change["status"] == "Running")


def test_what_is_mounted_cannot_be_changed(submit: Callable[..., Run], folder: Path, tmp_path: Path) -> None:
    tries = READ + (
        "\nimport errno"
        "\nfor what in (lambda: open(os.path.join(path, 'a.csv'), 'w'), lambda: os.remove(os.path.join(path, 'a.csv')),"
        "\n             lambda: open(os.path.join(path, 'new'), 'w'), lambda: os.chmod(os.path.join(path, 'a.csv'), 0)):"
        "\n    try:"
        "\n        what(); print('wrote')"
        "\n    except OSError as error:"
        "\n        print(errno.errorcode[error.errno])"
        "\nopen('outputs/kept', 'w').write('x')\n"
    )
    whole = Dataset.File.from_files(folder)
    for data in (whole, whole.take(1)):
        run = submit(data.as_named_input("own").as_mount(), tries)
        seen(run, tmp_path)
        assert run.get_log().split() == ["EROFS"] * 4, "also where it is made of links"
        assert running(run)["data"] == "read-only"
        assert "outputs/kept" in run.get_file_names()
    assert sorted(path.name for path in folder.iterdir()) == ["a.csv", "deep"]


def test_a_copy_may_be_written_to_and_what_is_mounted_is_told(
    submit: Callable[..., Run], folder: Path, tmp_path: Path
) -> None:
    run = submit(Dataset.File.from_files(folder).as_download(), WRITE)
    seen(run, tmp_path)
    assert (folder / "a.csv").read_text() == "a.csv"
    assert not [notice for notice in run.state["notices"] if "changed" in notice]
    record = run.workspace.root / ".mltrain" / "runs" / run.id
    assert not (record / "data").exists(), "the run's copy was left behind"
    no_namespaces(run.workspace)
    run = submit(Dataset.File.from_files(folder).as_named_input("own").as_mount(), WRITE)
    seen(run, tmp_path)
    assert "data" not in running(run)
    [notice] = [notice for notice in run.refresh()["notices"] if "changed" in notice]
    assert notice == "the data of own changed while the run was there: a.csv"


def test_what_a_run_wrote_into_the_cache_is_thrown_away(
    workspace: Workspace, submit: Callable[..., Run], server: LocalMirror, tmp_path: Path
) -> None:
    dataset = Dataset.File.from_files([server.url("part-0.csv"), server.url("part-1.csv")]).register(workspace, "parts")
    spoil = READ + (
        "\n[file] = [p for p in found if p.endswith('part-0.csv')]"
        "\nos.chmod(file, 0o644); open(file, 'w').write('spoiled')\n"
    )
    no_namespaces(workspace)
    run = submit(dataset.as_named_input("parts").as_mount(), spoil)
    seen(run, tmp_path)
    [notice] = [notice for notice in run.refresh()["notices"] if "changed" in notice]
    assert "part-0.csv" in notice
    assert "thrown away" in notice
    good = seen(submit(dataset.as_mount()), tmp_path)
    assert "spoiled" not in str(good["seen"])
    assert [name for name, _ in server.bodies()].count("part-0.csv") == 2
    assert [name for name, _ in server.bodies()].count("part-1.csv") == 1


def test_a_version_whose_folder_changed_is_used_and_told(
    workspace: Workspace, submit: Callable[..., Run], folder: Path, tmp_path: Path
) -> None:
    dataset = Dataset.File.from_files(folder).register(workspace, "words")
    first = submit(dataset.as_mount())
    first.wait_for_completion(wait_post_processing=True)
    (folder / "a.csv").write_text("other")
    run = submit(dataset.as_mount())
    assert seen(run, tmp_path)["seen"]["a.csv"] == "other"
    assert any("words:1 is not what it was" in notice and "a.csv" in notice for notice in run.state["notices"])
    assert run.state["data"][0]["changed"] == ["a.csv"]
    assert run.state["data"][0]["key"] != first.state["data"][0]["key"]
