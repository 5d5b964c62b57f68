"""A notebook as one HTML file that works anywhere: charts alive, no network, nothing but its own two scripts run."""

from __future__ import annotations

from jupyter_mltrain.export.notebook import export_notebook

__all__ = ["export_notebook"]
