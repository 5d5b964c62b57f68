"""Selections and paths of datasets, as properties."""

from __future__ import annotations

import dataclasses
import posixpath

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jupyter_mltrain.core import data_paths
from jupyter_mltrain.core.dataset import FileDatasetDefinition, Selected, definition_id, select
from jupyter_mltrain.core.partition import partition_keys, partition_values
from jupyter_mltrain.errors import UserErrorException

NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
    lambda name: name not in {".", ".."}
)
PATHS = st.lists(st.lists(NAMES, min_size=1, max_size=4).map("/".join), max_size=40, unique=True)
SHARES = st.floats(0, 1)
SEEDS = st.integers(0, 2**31)
STEPS = st.one_of(
    st.builds(Selected, st.sampled_from(["take", "skip"]), count=st.integers(0, 50)),
    st.builds(Selected, st.just("split"), share=SHARES, seed=SEEDS, part=st.sampled_from([0, 1])),
    st.builds(Selected, st.just("sample"), share=SHARES, seed=SEEDS),
)


@given(PATHS, SHARES, SEEDS)
def test_parts_of_a_split_are_disjoint_and_complete(paths, share, seed):
    first, second = (select(paths, [Selected("split", share=share, seed=seed, part=part)]) for part in (0, 1))
    assert not set(first) & set(second)
    assert sorted(first + second) == sorted(paths)
    assert len(first) == round(share * len(paths))


@given(PATHS, st.lists(STEPS, max_size=4), st.randoms())
def test_a_selection_depends_on_nothing_but_the_paths(paths, steps, random):
    shuffled = list(paths)
    random.shuffle(shuffled)
    chosen = select(shuffled, steps)
    assert chosen == select(paths, steps) == sorted(chosen)
    assert set(chosen) <= set(paths)


@given(PATHS, st.integers(0, 60))
def test_take_and_skip_cut_in_two(paths, count):
    taken, left = select(paths, [Selected("take", count=count)]), select(paths, [Selected("skip", count=count)])
    assert taken + left == sorted(paths)
    assert len(taken) == min(count, len(paths))


@given(PATHS, SEEDS, st.lists(NAMES, min_size=1, max_size=5, unique=True))
def test_a_sampled_file_stays_when_others_come(paths, seed, more):
    step = Selected("sample", share=0.5, seed=seed)
    before, after = set(select(paths, [step])), set(select([*paths, *more], [step]))
    assert before <= after
    assert after - before <= set(more)


@given(st.lists(st.text(max_size=20), min_size=1, max_size=4), st.lists(STEPS, max_size=4), st.text(max_size=20))
def test_a_definition_comes_back_from_its_file(sources, steps, text):
    definition = FileDatasetDefinition("x", tuple(sources), tuple(steps), "n", 3, text, {"k": text}, text, 1.5)
    assert FileDatasetDefinition.from_json(definition.to_json()) == definition
    assert definition_id(sources, steps) == definition_id(list(sources), tuple(steps))


@given(st.lists(STEPS, min_size=1, max_size=3))
def test_another_selection_is_another_dataset(steps):
    other = [*steps[:-1], dataclasses.replace(steps[-1], kind="take", count=99)]
    assume(steps[-1].to_json() != other[-1].to_json())
    assert definition_id(["/a"], steps) != definition_id(["/a"], other)


@given(st.lists(NAMES, min_size=1, max_size=5))
def test_a_clean_path_stays_inside(parts):
    path = data_paths.clean("/".join(parts))
    assert not path.startswith("/")
    assert posixpath.normpath(posixpath.join("/inside", path)).startswith("/inside/")


@pytest.mark.parametrize("path", ["../x", "a/../../x", "a/..", "x\0y", "a/" + "b" * 256])
def test_a_path_that_leads_out_or_cannot_be_is_refused(path):
    with pytest.raises(UserErrorException):
        data_paths.clean(path)


@given(st.lists(NAMES.filter(lambda n: not set("*?[") & set(n)), min_size=1, max_size=4), NAMES)
def test_the_base_of_a_pattern_has_no_pattern_and_is_in_front(folders, name):
    base = "/" + "/".join(folders)
    pattern = f"{base}/*{name}"
    assert data_paths.base_of(pattern) == base
    assert data_paths.is_pattern(pattern)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://yann.lecun.com/exdb/mnist/a.gz", "http/yann.lecun.com/exdb/mnist/a.gz"),
        ("HTTPS://Host:8080/a%20b/c.csv?x=1#y", "https/host:8080/a b/c.csv"),
        ("http://h//a/./b", "http/h/a/b"),
        ("s3://bucket/k/x", "s3/bucket/k/x"),
    ],
)
def test_a_url_in_a_list_stands_below_its_host(url, path):
    assert data_paths.path_of_url(url) == path


@pytest.mark.parametrize("url", ["http://h/a/%2e%2e/%2E%2E/etc/passwd", "http://h/..", "http://h/", "http://h"])
def test_a_url_that_names_no_file_or_leads_out_is_refused(url):
    with pytest.raises(UserErrorException):
        data_paths.path_of_url(url)


@pytest.mark.parametrize(
    ("source", "scheme"), [("/a/b", ""), ("s3://b/k", "s3"), ("abfs+x://y", "abfs+x"), ("C:/x", ""), ("a://b", "a")]
)
def test_schemes(source, scheme):
    assert data_paths.scheme_of(source) == scheme


def test_a_question_mark_in_a_web_address_is_its_query():
    assert not data_paths.is_pattern("https://h/x?y=[1]")
    assert data_paths.is_pattern("/data/x?.csv")


@pytest.mark.parametrize(
    ("pattern", "path", "values"),
    [
        ("{state}/data.csv", "WA/data.csv", {"state": "WA"}),
        ("/{state}/{day:yyyy/MM/dd}/x.csv", "top/OR/2019/04/01/x.csv", {"state": "OR", "day": "2019/04/01"}),
        ("{day:yyyy-MM-dd}_{n}.csv", "2019-04-01_7.csv", {"day": "2019-04-01", "n": "7"}),
        ("{day:yyyy}.csv", "19.csv", None),
        ("{state}/data.csv", "data.csv", None),
        ("a.csv", "x/a.csv", {}),
    ],
)
def test_keys_in_paths(pattern, path, values):
    assert partition_values(pattern, path) == values
    assert partition_keys(pattern) == tuple(values or partition_keys(pattern))


@pytest.mark.parametrize("pattern", ["{a", "a}", "{a}{a}", "{1}", "{a:xyz}"])
def test_a_partition_format_that_cannot_be_read(pattern):
    with pytest.raises(UserErrorException, match="cannot be read"):
        partition_keys(pattern)
