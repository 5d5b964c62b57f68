from __future__ import annotations

import string

from hypothesis import given
from hypothesis import strategies as st

from jupyter_mltrain.core.ignore import ALWAYS_OUT, IgnoreRules, Verdict

names = st.text(string.ascii_letters + string.digits + "_-. é", min_size=1, max_size=12).filter(
    lambda s: s.strip(". ") == s
)


def test_patterns_are_gits():
    rules = IgnoreRules(["*.log", "!keep.log", "/data/", "build"])
    assert rules.file("a.log") is Verdict.IGNORED
    assert rules.file("deep/a.log") is Verdict.IGNORED
    assert rules.file("deep/keep.log") is Verdict.TAKE
    assert rules.folder("data") is Verdict.IGNORED
    assert rules.folder("deep/data") is Verdict.TAKE
    assert rules.folder("deep/build") is Verdict.IGNORED


def test_what_looks_like_a_credential_is_left_out_unless_taken_back():
    for name in (".env", "server.pem", "id_rsa", "credentials.json", "deep/.env.local", "ID_RSA"):
        assert IgnoreRules().file(name) is Verdict.SECRET, name
    assert IgnoreRules(["!credentials.json"]).file("credentials.json") is Verdict.TAKE
    assert IgnoreRules().file("environment.yml") is Verdict.TAKE


@given(st.sampled_from(sorted(ALWAYS_OUT)), st.lists(names, max_size=3), st.lists(names, max_size=3))
def test_some_folders_are_out_whatever_the_file_says(folder, above, lines):
    rules = IgnoreRules([*lines, f"!{folder}", "!**"])
    assert rules.folder("/".join([*above, folder])) is Verdict.IGNORED


@given(names, names)
def test_without_an_ignore_file_everything_else_is_taken(folder, name):
    if folder not in ALWAYS_OUT:
        assert IgnoreRules().folder(folder) is Verdict.TAKE
        assert IgnoreRules().file(f"{folder}/{name}") in {Verdict.TAKE, Verdict.SECRET}
