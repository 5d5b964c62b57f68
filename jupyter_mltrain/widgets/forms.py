"""Forms in a notebook: an environment to make, a model to deploy. Both show the cell that does the same."""

from __future__ import annotations

import threading
from html import escape
from typing import Any

import anywidget
import traitlets

from jupyter_mltrain.errors import UsageError
from jupyter_mltrain.widgets import front_end
from jupyter_mltrain.widgets.comm_door import CommDoor
from jupyter_mltrain.widgets.run_widget import let_pages_choose_the_thread


class _Anchor:
    """What the door over the comm needs of a run, for a form, which has a workspace alone."""

    def __init__(self, workspace: Any) -> None:
        self.id, self.workspace, self.state = "", workspace, dict[str, Any]()


class _Form(anywidget.AnyWidget):
    _esm = front_end.read(front_end.LOADER).decode()

    _form = traitlets.Unicode(read_only=True).tag(sync=True)
    _workspace = traitlets.Unicode(read_only=True).tag(sync=True)
    _given = traitlets.Dict(read_only=True).tag(sync=True)
    _version = traitlets.Unicode(read_only=True).tag(sync=True)

    def __init__(self, form: str, workspace: Any, given: dict[str, Any], again: str, **options: Any) -> None:
        self._again = again
        self._speaking = threading.Lock()
        own = {"_form": form, "_workspace": str(workspace.id), "_given": given, "_version": front_end.version()}
        for name, value in own.items():
            self.set_trait(name, value)
        super().__init__(**options)
        self._door = CommDoor(_Anchor(workspace), self._tell, lambda _run: None)
        self.on_msg(lambda _widget, content, _buffers: self._door.handle(content))
        let_pages_choose_the_thread(self.comm)

    def close(self) -> None:
        """Remove it from the page; what it began goes on."""
        if getattr(self, "_door", None) is not None:
            self._door.close()
        super().close()

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """What a page sends lays the widget out and nothing else."""
        super().set_state({name: value for name, value in sync_data.items() if name not in _OWN})

    def _tell(self, message: dict[str, Any], buffers: list[bytes]) -> None:
        with self._speaking:
            self.send(message, buffers)

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**options) or ({}, {})
        said = f"A form: run the cell `{self._again}` again to see it."
        return {**data, "text/html": f"<p>{escape(said)}</p>", "text/plain": said}, metadata


_OWN = frozenset({"_form", "_workspace", "_given", "_version", "_esm"})


class EnvironmentForm(_Form):
    """A form that makes an environment of `workspace`: a curated one, or from packages, a conda file's text or a base
    image. What is wrong is said line by line, substitutions are shown before anything is built, and a click registers a
    version and builds it, with its log.

    Raises `UsageError` for what is no workspace.
    """

    def __init__(self, workspace: Any, **options: Any) -> None:
        if not hasattr(workspace, "connection"):
            raise UsageError(
                f"EnvironmentForm takes a Workspace, not {type(workspace).__name__}.",
                mend="`EnvironmentForm(Workspace.from_config())`.",
            )
        super().__init__("environment", workspace, {}, "EnvironmentForm(workspace)", **options)


class DeployForm(_Form):
    """A form that deploys the registered version `model` (`api.Model`), with a prediction first where that is asked for;
    the endpoint's card takes its place.

    Raises `UsageError` for what is no registered model.
    """

    def __init__(self, model: Any, **options: Any) -> None:
        if not hasattr(model, "workspace") or not hasattr(model, "version"):
            raise UsageError(
                f"DeployForm takes a Model, not {type(model).__name__}.",
                mend="Give it what `run.register_model` returned, or `Model(workspace, name)`.",
            )
        given = {"model": {"name": str(model.name), "version": int(model.version)}}
        super().__init__("deploy", model.workspace, given, "DeployForm(model)", **options)
