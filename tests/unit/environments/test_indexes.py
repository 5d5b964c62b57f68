import os
import sys
from pathlib import Path

import pytest

from jupyter_mltrain.environments.indexes import index_settings, pip_configuration_files, read_pip_settings


@pytest.fixture
def files(tmp_path: Path):
    def write(*texts: str) -> list[Path]:
        paths = [tmp_path / f"pip{number}.conf" for number in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text)
        return paths

    return write


def test_later_files_win_and_variables_win_over_files(files):
    paths = files("[global]\nindex-url = http://a/simple\ncert = /a.pem\n", "[install]\nindex_url = http://b/simple\n")
    assert read_pip_settings({}, paths) == {"index-url": "http://b/simple", "cert": "/a.pem"}
    environ = {"PIP_INDEX_URL": "http://c/simple", "PIP_CONFIG_FILE": "/nowhere", "PATH": "/bin"}
    assert read_pip_settings(environ, paths) == {"index-url": "http://c/simple", "cert": "/a.pem"}


def test_everything_that_leads_to_packages_is_told_to_uv(files):
    paths = files(
        "[global]\nindex-url = http://a/simple\nextra-index-url = http://b/simple\n    http://c/simple\n"
        "find-links = /one /two\ntrusted-host = a b\ncert = /ca.pem\nclient-cert = /me.pem\nproxy = http://p:8080\n"
        "keyring-provider = import\ntimeout = 77\nconstraint = /c.txt\n"
    )
    settings = index_settings({}, paths)
    assert settings.variables == {
        "UV_DEFAULT_INDEX": "http://a/simple",
        "UV_INDEX": "http://b/simple http://c/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "/one,/two",
        "UV_INSECURE_HOST": "a b",
        "UV_CONSTRAINT": "/c.txt",
        "UV_KEYRING_PROVIDER": "subprocess",
        "UV_HTTP_TIMEOUT": "77",
        "SSL_CERT_FILE": "/ca.pem",
        "SSL_CLIENT_CERT": "/me.pem",
        "HTTPS_PROXY": "http://p:8080",
        "HTTP_PROXY": "http://p:8080",
    }
    assert settings.flags == ()
    assert index_settings({"PIP_NO_INDEX": "true"}, paths).flags == ("--no-index",)


def test_an_empty_value_takes_back_what_another_file_said(files):
    paths = files("[global]\nextra-index-url = http://a/simple\n", "[global]\nextra-index-url =\n")
    assert index_settings({}, paths).variables == {}


@pytest.mark.parametrize(
    ("variable", "value", "untouched"),
    [
        ("UV_INDEX_URL", "http://mine/simple", "UV_DEFAULT_INDEX"),
        ("UV_DEFAULT_INDEX", "http://mine/simple", "UV_DEFAULT_INDEX"),
        ("UV_EXTRA_INDEX_URL", "http://mine/simple", "UV_INDEX"),
        ("SSL_CERT_FILE", "/mine.pem", "SSL_CERT_FILE"),
        ("https_proxy", "http://mine", "HTTPS_PROXY"),
    ],
)
def test_what_uv_was_told_itself_wins(files, variable, value, untouched):
    paths = files("[global]\nindex-url=http://a/\nextra-index-url=http://b/\ncert=/c.pem\nproxy=http://p\n")
    assert untouched in index_settings({}, paths).variables
    assert untouched not in index_settings({variable: value}, paths).variables


def test_passwords_are_redacted_wherever_they_came_from(files):
    paths = files("[global]\nindex-url = https://me:first%40pw@a/simple\nproxy = http://me:second-pw@p:1\n")
    settings = index_settings({"UV_INDEX": "https://me:third-pw@c/simple"}, paths)
    said = settings.redact("first%40pw first@pw second-pw third-pw https://x:y@host/path http://host/a@b")
    assert said == "**** **** **** **** https://****@host/path http://host/a@b"


def test_a_broken_file_of_pips_is_passed_over(files):
    paths = files("no section\n", "[global]\nindex-url = http://a/\n")
    assert index_settings({}, paths).variables == {"UV_DEFAULT_INDEX": "http://a/"}


def test_pips_places_in_pips_order(tmp_path):
    places = pip_configuration_files({"HOME": str(tmp_path), "PIP_CONFIG_FILE": "/chosen", "XDG_CONFIG_DIRS": "/x:/y"})
    assert places[-1] == Path("/chosen")
    assert places[-2] == Path(sys.prefix) / "pip.conf"
    if sys.platform == "linux":
        assert places[:3] == [Path("/x/pip/pip.conf"), Path("/y/pip/pip.conf"), Path("/etc/pip.conf")]
        assert places[3:5] == [tmp_path / ".pip" / "pip.conf", tmp_path / ".config" / "pip" / "pip.conf"]
    assert pip_configuration_files({"HOME": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}) == []
