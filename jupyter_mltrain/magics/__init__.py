"""`%%mltrain` and `%mltrain`: thin adapters over `jupyter_mltrain.commands`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def register(ipython: InteractiveShell) -> None:
    """Give `ipython` the magics and their Tab completion. Called again (`%reload_ext`), it changes nothing."""
    from jupyter_mltrain.magics.completion import complete  # noqa: PLC0415 - loaded with the extension, not the package
    from jupyter_mltrain.magics.mltrain import MltrainMagics  # noqa: PLC0415

    if MltrainMagics.__name__ in ipython.magics_manager.registry:
        return
    ipython.register_magics(MltrainMagics)
    ipython.Completer.custom_matchers.append(complete)
