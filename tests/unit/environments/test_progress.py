from jupyter_mltrain.environments.progress import ProgressReader

MIB = 2**20
LINES = ["Resolved 3 packages in 1ms", "Downloading big (200.0MiB)", "Downloading small (50.0MiB)"]


def reader(lines=(), every=0.0, report=None):
    logged: list[str] = []
    made = ProgressReader(3, logged.append, report, every)
    for line in lines:
        made.line(line)
    return made, logged


def test_lines_are_passed_on_and_added_up():
    made, logged = reader([*LINES, " Downloaded small"])
    state = made.state(10.0)
    assert logged == [*LINES, " Downloaded small"]
    assert (state.downloads, state.downloaded, state.bytes_total) == (2, 1, 250 * MIB)
    assert state.bytes_done == 50 * MIB
    assert state.remaining == 40.0  # 50 MiB took 10 s, 200 are left


def test_an_estimate_never_claims_to_be_done(monkeypatch):
    monkeypatch.setattr("jupyter_mltrain.environments.progress._written_by", lambda _: 10**12)
    made, logged = reader(LINES)
    made.look(1)
    assert 240 * MIB < made.state(1.0).bytes_done < 250 * MIB
    assert "of 250 MiB" in logged[-1]
    assert "waiting for big" in logged[-1]


def test_bytes_written_move_the_estimate(monkeypatch):
    monkeypatch.setattr("jupyter_mltrain.environments.progress._written_by", lambda _: 350 * MIB)
    made, _ = reader(LINES)
    made.look(1)
    assert made.state(1.0).bytes_done == 100 * MIB


def test_nothing_known_means_no_estimate():
    made, _ = reader(LINES)
    assert made.state(5.0).remaining is None
    assert reader()[0].state(5.0).bytes_total == 0


def test_phases_and_report():
    seen = []
    made, logged = reader([*LINES, " Downloaded small", " Downloaded big"], report=seen.append)
    for line, phase in [
        ("", "downloading"),
        ("Prepared 3 packages in 1s", "installing"),
        ("Installed 3 packages", "compiling"),
    ]:
        made.line(line)
        made.look(1)
        assert seen[-1].phase == phase
    said = [line.split(",")[0] for line in logged if line.startswith("…")]
    assert said == ["… unpacking 3 packages", "… installing 3 packages", "… compiling 3 packages"]


def test_not_more_often_than_asked():
    made, logged = reader(LINES, every=60.0)
    made.look(1)
    assert logged == LINES
