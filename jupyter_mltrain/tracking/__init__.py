"""Publication of runs to MLflow, and the model registry in it.

    publisher.Tracking     what the service holds: asks, retries, tells the state; imports no MLflow
    child                  the process that does import MLflow; requests and replies are JSON lines
    store                  the child's MLflow client: the embedded database, or a team's server
    publication  points    a run's record as MLflow's parameters, metrics, tags and artifacts
    registry  content  inspection     model versions, the copy and hash of their files, what the files say
    cursor                 `publish.json` in a run's record: how far publication is

The run's folder is the record and what MLflow holds is a copy: it can be thrown away and is made again.
"""
