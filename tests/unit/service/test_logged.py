from __future__ import annotations

import json

from jupyter_mltrain.service.logged import MOST_ROWS, logged_items


def write(streams, *items, name="r0-1.metrics"):
    streams.mkdir(exist_ok=True)
    (streams / name).write_text("".join(json.dumps(item) + "\n" for item in items) + '{"k":"row","na')


def test_images_and_tables_and_nothing_else(tmp_path):
    write(
        tmp_path / "s",
        ["loss", 1, 2.0, 0.5],
        {"k": "image", "name": "fig", "path": "outputs/a.png", "step": 3, "t": 1.0},
        {"k": "row", "name": "r", "row": {"x": 1, "y": "a"}, "t": 1.0},
        {"k": "row", "name": "r", "row": {"x": float("nan"), "z": True}, "t": 1.0},
        {"k": "table", "name": "t", "table": {"x": [1, 2, 3], "y": [4, 5], "of": "all"}, "t": 1.0},
        {"k": "image", "name": 4, "path": "no name"},
        {"k": "row", "name": "odd", "row": "no row"},
        {"k": "tag", "key": "k", "value": "v", "t": 1.0},
    )
    found = logged_items(tmp_path / "s")
    assert found["images"] == [{"name": "fig", "path": "outputs/a.png", "step": 3}]
    assert found["images_total"] == 1
    rows, table = found["tables"]
    assert rows["columns"] == ["x", "y", "z"]
    assert rows["rows"][0] == [1, "a", None]
    assert str(rows["rows"][1][0]) == "nan"
    assert table == {
        "name": "t",
        "columns": ["x", "y", "of"],
        "rows": [[1, 4, "all"], [2, 5, "all"], [3, None, "all"]],
        "total": 3,
    }


def test_it_is_bounded(tmp_path):
    rows = [{"k": "row", "name": "r", "row": {"i": i, "long": "x" * 10_000}} for i in range(MOST_ROWS + 50)]
    names = [{"k": "row", "name": f"n{i}", "row": {f"c{j}": j for j in range(80)}} for i in range(30)]
    images = [{"k": "image", "name": "i", "path": f"outputs/{i}.png"} for i in range(300)]
    write(tmp_path / "s", *rows, *names, *images)
    found = logged_items(tmp_path / "s")
    first = found["tables"][0]
    assert (first["total"], len(first["rows"]), first["rows"][-1][0]) == (250, 200, 249)
    assert len(str(first["rows"][0][1])) == 500
    assert (len(found["tables"]), found["tables_total"], len(found["tables"][1]["columns"])) == (20, 31, 50)
    assert (len(found["images"]), found["images_total"], found["images"][-1]["path"]) == (200, 300, "outputs/299.png")


def test_nothing_logged_is_nothing(tmp_path):
    assert logged_items(tmp_path / "none") == {"images": [], "images_total": 0, "tables": [], "tables_total": 0}
