"""Two workers, forked after everything is instrumented; each reports as an instance of its own."""

import logging
import os

from otel_genai import jsonlog

wsgi_app = "app:app"
worker_class = "uvicorn_worker.UvicornWorker"
workers = 2
graceful_timeout = 5


def post_fork(server: object, worker: object) -> None:  # noqa: ARG001 (gunicorn's signature)
    """Write logs as JSON, in every worker: to one file, or to standard error."""
    jsonlog.start(os.environ.get("RAG_LOG"), level=logging.INFO)
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # each call has its line already
