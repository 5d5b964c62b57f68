"""Where packages come from: pip's settings, which uv does not read, told to uv; and credentials kept out of sight.

pip's places and their order (later wins): its global, user and site configuration files, the file named by
`PIP_CONFIG_FILE`, then `PIP_*` variables (pip's documentation, "Configuration"). What the user told uv itself
(`UV_*`) wins over all of them.
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jupyter_mltrain.core.addresses import passwords, redact

_SECTIONS = ("global", "install")


@dataclass(frozen=True)
class IndexSettings:
    """Variables and flags for uv. `secrets`: values that must not be shown or stored; `redact` replaces them."""

    variables: Mapping[str, str]
    flags: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()

    def redact(self, text: str) -> str:
        return redact(text, self.secrets)


def index_settings(environ: Mapping[str, str] | None = None, files: Sequence[Path] | None = None) -> IndexSettings:
    """pip's settings of this user as settings for uv. Arguments stand in for the process's own, for tests."""
    environ = os.environ if environ is None else environ
    pip = read_pip_settings(environ, pip_configuration_files(environ) if files is None else files)
    told = _told_to_uv(pip)
    variables = {name: value for name, value in told.items() if not _said_to_uv(name, environ)}
    if "UV_INDEX" in variables:
        # pip takes the best version of all its indexes; uv would stop at the first index that has the name at all.
        variables.setdefault("UV_INDEX_STRATEGY", environ.get("UV_INDEX_STRATEGY", "unsafe-best-match"))
    flags = ("--no-index",) if pip.get("no-index", "").lower() in {"1", "true", "yes", "on"} else ()
    return IndexSettings(variables, flags, passwords([*variables.values(), *_addresses(environ)]))


def pip_configuration_files(environ: Mapping[str, str]) -> list[Path]:
    """pip's configuration files on this machine, those that win last."""
    chosen = environ.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:  # pip: "no configuration files at all"
        return []
    home = Path(environ.get("HOME") or Path.home())
    shared = [Path(folder) / "pip" / "pip.conf" for folder in environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")]
    files = [*shared, Path("/etc/pip.conf")]
    if sys.platform == "darwin":
        files = [Path("/Library/Application Support/pip/pip.conf")]
    files.append(home / ".pip" / "pip.conf")
    own = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    mac = home / "Library" / "Application Support" / "pip"
    files.append(mac / "pip.conf" if sys.platform == "darwin" and mac.is_dir() else own)
    files.append(Path(sys.prefix) / "pip.conf")
    return [*files, Path(chosen)] if chosen else files


def read_pip_settings(environ: Mapping[str, str], files: Sequence[Path]) -> dict[str, str]:
    """pip's settings by their long option names, from `files` (later ones win), then from `PIP_*` variables."""
    found: dict[str, str] = {}
    for file in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue  # pip says more about its own broken file than we could
        for section in _SECTIONS:
            if parser.has_section(section):
                found |= {name.replace("_", "-"): value.strip() for name, value in parser.items(section)}
    for name, value in environ.items():
        if name.startswith("PIP_") and value and name != "PIP_CONFIG_FILE":
            found[name[4:].lower().replace("_", "-")] = value
    return found


_NAMES = {
    # pip's option: uv's variable, and what joins several values (None: there is one)
    "index-url": ("UV_DEFAULT_INDEX", None),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "constraint": ("UV_CONSTRAINT", " "),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "cert": ("SSL_CERT_FILE", None),
    "client-cert": ("SSL_CLIENT_CERT", None),
    "proxy": ("HTTPS_PROXY", None),
}
_SAME = {
    "UV_DEFAULT_INDEX": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "UV_INDEX": ("UV_INDEX", "UV_EXTRA_INDEX_URL"),
    "HTTPS_PROXY": ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"),
    "HTTP_PROXY": ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"),
}


def _said_to_uv(name: str, environ: Mapping[str, str]) -> bool:
    return any(environ.get(same) for same in _SAME.get(name, (name,)))


def _addresses(environ: Mapping[str, str]) -> list[str]:
    names = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")
    return [environ[name] for name in (*names, "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY") if name in environ]


def _told_to_uv(pip: Mapping[str, str]) -> dict[str, str]:
    told: dict[str, str] = {}
    for option, (variable, joint) in _NAMES.items():
        if value := pip.get(option):
            told[variable] = value if joint is None else joint.join(value.split())
    if "HTTPS_PROXY" in told:
        told["HTTP_PROXY"] = told["HTTPS_PROXY"]
    if pip.get("keyring-provider") in {"subprocess", "import"}:
        told["UV_KEYRING_PROVIDER"] = "subprocess"
    if (timeout := pip.get("timeout", pip.get("default-timeout", ""))).isdigit():
        told["UV_HTTP_TIMEOUT"] = timeout
    return told
