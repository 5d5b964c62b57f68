"""The least that a service of the same kind can be: FastAPI on uvicorn, one route, on the Unix socket named first."""

import sys

import uvicorn
from fastapi import FastAPI

app = FastAPI()


@app.get("/v1/hello")
async def hello() -> dict[str, str]:
    return {}


uvicorn.run(app, uds=sys.argv[1], log_level="warning", access_log=False)
