"""The door: what a browser reaches of the workspaces' services, through the Jupyter server's own authentication.

Enabled with the package (`etc/jupyter/jupyter_server_config.d`); imports tornado only when the server loads it.
"""

from __future__ import annotations

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, str]]:  # pyright: ignore[reportUnusedFunction] - Jupyter calls it
    return [{"module": "jupyter_mltrain.server"}]


def _load_jupyter_server_extension(server: Any) -> None:  # pyright: ignore[reportUnusedFunction] - Jupyter calls it
    from jupyter_mltrain.server.routes import add_routes  # noqa: PLC0415 - only a server pays for it

    add_routes(server.web_app)
    server.log.info("jupyter_mltrain: live runs at %smltrain", server.web_app.settings["base_url"])
