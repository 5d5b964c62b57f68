"""The matplotlib backend of a run (`MPLBACKEND=module://jupyter_mltrain._figures`): `plt.show()` keeps the figures.

Nobody sits at a screen; each open figure becomes an image of the run, below `outputs/`, and is closed, as in a notebook.
"""

from __future__ import annotations

from typing import Any

from matplotlib._pylab_helpers import Gcf
from matplotlib.backend_bases import FigureManagerBase
from matplotlib.backends.backend_agg import FigureCanvasAgg

from ._run import Run

FigureCanvas = FigureCanvasAgg
FigureManager = FigureManagerBase


def show(*_: Any, **__: Any) -> None:
    """Keep all open figures with the run and close them."""
    run = Run.get_context()
    for manager in Gcf.get_all_fig_managers():
        figure = manager.canvas.figure
        run.log_image(figure.get_label() or "figure", plot=figure)
    Gcf.destroy_all()
