"""What a run goes on from: an earlier run's outputs, also as the SDK's references to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.core.spec import DATA_PLACEHOLDER, RESUME
from jupyter_mltrain.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jupyter_mltrain.api.run import Run
    from jupyter_mltrain.api.workspace import Workspace


@dataclass(frozen=True)
class OutputsDataPath:
    """The folder `outputs/` of a run, as a place: `run._get_outputs_datapath()`."""

    run: Run

    @property
    def path_on_datastore(self) -> str:
        return f"runs/{self.run.id}/outputs"

    def create_data_reference(
        self, data_reference_name: str | None = None, datapath_compute_binding: DataPathComputeBinding | None = None
    ) -> OutputsReference:
        """What stands for the folder in a run's arguments, and in `run_config.data_references`. Raises `UsageError` for a
        binding that asks for something else than to read it."""
        if datapath_compute_binding is not None and datapath_compute_binding.mode not in ("mount", "download"):
            raise UsageError(
                f"A run's outputs cannot be bound for {datapath_compute_binding.mode!r}.", mend='Give mode="mount".'
            )
        return OutputsReference(self.run, data_reference_name or RESUME)


@dataclass(frozen=True)
class DataPathComputeBinding:
    """The SDK's. A run reads the outputs of another where they are, whatever is said here."""

    mode: str = "mount"
    path_on_compute: str | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class OutputsReference:
    """A run's outputs among another's arguments: the script gets their folder there."""

    run: Run
    data_reference_name: str = RESUME

    def to_config(self) -> OutputsReference:
        """For `run_config.data_references`."""
        return self

    def as_mount(self) -> OutputsReference:
        return self

    def __str__(self) -> str:
        return f"$AZUREML_DATAREFERENCE_{self.data_reference_name}"


class Resumed:
    """The run that a configuration goes on from, by all that can say so: `resume_from`, `run_config.data_references`, and
    references among the arguments. They must mean the same one."""

    def __init__(self, given: object, references: Mapping[str, Any], workspace: Workspace | None) -> None:
        self._workspace = workspace
        self._references: dict[str, OutputsReference] = {}
        self.run: str | None = None
        """Its id or name; None where there is none."""
        if given is not None:
            self._take(_key(given, workspace))
        for name, reference in references.items():
            if not isinstance(reference, OutputsReference):
                raise UsageError(
                    "run_config.data_references takes the outputs of runs alone.",
                    mend="Give dataset.as_mount() as an argument.",
                )
            self._references[f"$AZUREML_DATAREFERENCE_{name}"] = reference
            self._take(_key(reference, workspace))

    def filled(self, arguments: Iterable[Any]) -> list[Any]:
        """`arguments` with what stands for the folder as the service knows it."""
        return [self._filled(one) for one in arguments]

    def _filled(self, one: Any) -> Any:
        if isinstance(one, OutputsReference):
            self._take(_key(one, self._workspace))
            return DATA_PLACEHOLDER + RESUME
        return DATA_PLACEHOLDER + RESUME if isinstance(one, str) and one in self._references else one

    def _take(self, key: str) -> None:
        if self.run not in (None, key):
            raise UsageError(f"A run goes on from one other; {self.run} and {key} are given.", mend="Give one of them.")
        self.run = key


def _key(given: object, workspace: Workspace | None) -> str:
    """What the service finds the run by. Raises `UsageError` for what is no run, and for one of another workspace."""
    from jupyter_mltrain.api.run import Run  # noqa: PLC0415 - each knows the other

    run = given.run if isinstance(given, OutputsDataPath | OutputsReference) else given
    if isinstance(run, str) and run:
        return run
    if not isinstance(run, Run):
        raise UsageError(
            f"resume_from is a {type(given).__name__}.", mend="Give a run, its id, or run._get_outputs_datapath()."
        )
    if workspace is not None and run.workspace.root != workspace.root:
        raise UsageError(
            f"The run {run.display_name} is in the workspace {run.workspace.name!r}, and this one is in {workspace.name!r}.",
            mend='Take what it made along: run.download_files("outputs", FOLDER), then Dataset.File.from_files(FOLDER).',
        )
    return run.id
