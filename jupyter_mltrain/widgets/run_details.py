"""`RunDetails(run).show()`, as notebooks written for the SDK call it."""

from __future__ import annotations

import sys
from typing import Any

from jupyter_mltrain.errors import UsageError
from jupyter_mltrain.widgets import live_output


class RunDetails:
    """The card of a run: before, during and after it."""

    def __init__(self, run_instance: Any) -> None:
        if not hasattr(run_instance, "workspace"):
            raise UsageError(
                f"RunDetails shows a Run, not {type(run_instance).__name__}.",
                mend="Give it what `Experiment.submit` returned, or `mltrain.run(NAME)`.",
            )
        self._run = run_instance

    def show(self, render_lib: Any = None, widget_settings: Any = None) -> None:  # noqa: ARG002 - the SDK's arguments
        """Display it. The output is the card and is kept up to date until the run has ended; in VS Code and Colab, which
        have no server of ours, a `RunWidget`. Without a kernel it prints the run.
        """
        shell = live_output.kernel_shell()
        if shell is None:
            print(self._run)  # noqa: T201 - there is nowhere else to show it
            return
        from IPython.display import display  # noqa: PLC0415 - a kernel has it

        if "__vsc_ipynb_file__" in shell.user_ns or "google.colab" in sys.modules:
            from jupyter_mltrain.widgets.run_widget import RunWidget  # noqa: PLC0415 - ipywidgets takes 0.2 s

            display(RunWidget(self._run))
        else:
            display(self._run)
