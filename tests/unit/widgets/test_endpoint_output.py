from __future__ import annotations

import json

from jupyter_mltrain.errors import ServiceUnavailable
from jupyter_mltrain.widgets.endpoint_output import MIME, bundle
from jupyter_mltrain.widgets.model_output import MIME as MODEL_MIME
from jupyter_mltrain.widgets.model_output import bundle as model_bundle

EVIL = "<script>alert(1)</script>"
ENTRY = {
    "name": "digits",
    "kind": "ACI",
    "state": "Healthy",
    "phase": "running",
    "models": [{"id": f"{EVIL}:1", "name": EVIL, "version": 1, "format": "SavedModel"}],
    "scoring_uri": "http://localhost:6789/score",
    "memory_bytes": 568_000_000,
    "failure": {
        "title": EVIL,
        "evidence": ["/home/me/ws/.mltrain/endpoints/x"],
        "traceback": 'File "/home/me/secret.py"',
        "mend": "",
    },
    "substitutions": [{"kind": "memory_gb", "asked": "0.5", "given": "0.9", "reason": "measured"}],
    "notices": [],
    "snippets": {"curl": "curl -H 'Authorization: Bearer KEY' http://localhost:6789/score"},
    "recorded": 1_795_000_000.0,
    "keys": {"primary": "k-never-saved"},
}


class Answering:
    def get(self, path, /, **_):
        return {
            "since": 1.0,
            "requests": {"200": 1204, "500": 3},
            "of": 1207,
            "p50_ms": 0.6,
            "p95_ms": 1.0,
            "p99_ms": 1.4,
        }

    def bytes(self, path, /, **_):
        return b"loaded /home/me/model\nready\n", {}


class Silent(Answering):
    def get(self, path, /, **_):
        raise ServiceUnavailable("no")


def test_an_endpoint_is_saved_without_keys_paths_or_markup():
    made = bundle(ENTRY, "uuid", Answering(), "text")
    saved = made[MIME]
    assert (saved["workspace"], saved["endpoint"], saved["recorded"]) == ("uuid", "digits", 1_795_000_000.0)
    assert saved["latency"]["p50_ms"] == 0.6
    assert saved["log"]["tail"].endswith("ready")
    everything = json.dumps(made, allow_nan=False)
    assert "k-never-saved" not in everything
    assert "/home/me" not in everything
    assert EVIL not in made["text/html"]
    assert "0.6 ms" in made["text/html"]
    assert "1,207" in made["text/html"]
    assert "http://localhost:6789/score" in made["text/html"]
    assert "Bearer KEY" in made["text/html"]
    assert made["text/plain"] == "text"


def test_what_cannot_be_asked_is_shown_as_it_was_seen():
    for connection in (Silent(), None):
        made = bundle(ENTRY, "uuid", connection, "text")
        assert made[MIME]["latency"] is None
        assert made[MIME]["log"] is None
        assert "Healthy" in made["text/html"]


def test_a_model_is_saved():
    entry = {
        "id": "m:3", "name": "m", "version": 3, "format": "SavedModel", "framework": "TensorFlow",
        "framework_version": "2.21", "bytes": 1_700_000, "files": 4, "metrics": {"accuracy": 0.975},
        "description": EVIL, "content_hash": "sha256:x", "signature": None,
    }  # fmt: skip
    made = model_bundle(entry, "uuid", "Model(…)")
    assert made[MODEL_MIME]["model"]["version"] == 3
    assert "content_hash" not in made[MODEL_MIME]["model"]
    assert "accuracy 0.975" in made["text/html"]
    assert "4 files, 1.7 MB" in made["text/html"]
    assert EVIL not in made["text/html"]
