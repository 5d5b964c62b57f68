"""Models as endpoints: a process of its own for each, kept running beside the service, in the model's own environment.

    service ──files── keeper (one per endpoint; holds the listening socket)
                         └─ shim ─ server (`injected/mltrain_endpoint`: the model, TensorFlow Serving's REST paths)

The keeper, not the service, is who restarts a server that crashed and who puts a new revision in place of the old: an
endpoint needs no service to answer, and none to be mended.
"""
