"""Environments of their own for tests, kept in the user's cache."""

from __future__ import annotations

import subprocess
import sys

import platformdirs


def python_environment(name, *packages):
    """An environment of its own for a test, kept in the user's cache: its interpreter."""
    folder = platformdirs.user_cache_path("jupyter-mltrain") / "test-environments" / name
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists():
        import uv

        subprocess.run([uv.find_uv_bin(), "venv", "--quiet", "--clear", "--python", sys.executable, folder], check=True)
        subprocess.run([uv.find_uv_bin(), "pip", "install", "--quiet", "--python", python, *packages], check=True)
        ready.touch()
    return python


def tensorflow_python():
    """The interpreter of an environment with TensorFlow for CPUs."""
    return python_environment("tensorflow-2.21", "tensorflow-cpu>=2.21,<2.22")
