"""What answers requests in an endpoint's process, in whatever environment the model needs: Python 3.8 and later.

Run as `python …/mltrain_endpoint SERVE_JSON START_FOLDER` by the endpoint's keeper. It loads the model (or the entry
script), tries it once, says so in `START_FOLDER/ready.json`, and waits on `START_FOLDER/control.sock` for what to do
(`control.py`). Requests come on a listening socket that it inherits (`MLTRAIN_LISTEN_FD`) and shares with the process
that it replaces, so that no connection is ever refused.

`serve.json`: {"name", "models": [{"name", "version", "path", "format"}], "script": {"path", "source"} or null,
"keys": path of the keys, "overlay": [folders], "max_body": bytes}. Paths are absolute.
"""
