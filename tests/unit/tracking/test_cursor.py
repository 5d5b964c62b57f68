"""The mark of how far publication is."""

from jupyter_mltrain.tracking import cursor
from jupyter_mltrain.tracking.cursor import Cursor


def test_it_comes_back_as_it_was_saved(tmp_path):
    saved = Cursor("sqlite:///x", mlflow_run="abc", offsets={"r0-1.metrics": 12}, counts={"r0-1.metrics": {"loss": 3}})
    saved.save(tmp_path)
    assert Cursor.load(tmp_path, "sqlite:///x") == saved
    assert [p.name for p in tmp_path.iterdir()] == [cursor.FILE]


def test_another_server_starts_from_nothing(tmp_path):
    Cursor("sqlite:///x", mlflow_run="abc").save(tmp_path)
    assert Cursor.load(tmp_path, "http://team") == Cursor("http://team")


def test_a_torn_or_newer_file_starts_from_nothing(tmp_path):
    for text in ("", "{", "[]", '{"format": 99, "uri": "u", "mlflow_run": "abc"}'):
        (tmp_path / cursor.FILE).write_text(text)
        assert Cursor.load(tmp_path, "u") == Cursor("u")


def test_keys_of_a_newer_package_are_left_out(tmp_path):
    (tmp_path / cursor.FILE).write_text('{"format": 1, "uri": "u", "mlflow_run": "abc", "novelty": 1}')
    assert Cursor.load(tmp_path, "u") == Cursor("u", mlflow_run="abc")


def test_values_of_a_process_that_was_killed_are_written_over(tmp_path):
    first = Cursor("u")
    first.keep_values(tmp_path, ["one", "zwei ö"])
    first.save(tmp_path)
    first.keep_values(tmp_path, ["lost: the cursor was not saved after it, and it is longer"])
    again = Cursor.load(tmp_path, "u")
    again.keep_values(tmp_path, ["three"])
    assert (tmp_path / cursor.VALUES).read_bytes() == "one\nzwei ö\nthree\n".encode()
    assert again.values == len("one\nzwei ö\nthree\n".encode())
