"""An S3 server on this machine: moto's, in a process and an environment of its own (`tests/s3_server.txt`).

    with S3Server(folder) as server:
        server.uri("runs")       # s3://bucket/runs?endpoint_override=...
        server.requests()        # [Request(method="PUT", path="/bucket/runs/a", key="...", status=200), ...]

It answers nobody who does not sign with `KEY`; the signature itself is not computed again. Run as a program, by the
other environment's Python, it serves.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

KEY = "AKIATESTSOFTHISPACKAGE"
SECRET = "planted-4c1f7a9be2d05836a1c9"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_EC2_METADATA_DISABLED": "true",  # or a process without keys asks the network for some
}
"""What drivers and workers need; a cluster's nodes are started with it."""
BUCKET = "bucket"
VARIABLE = "AUTOML_GPT_RAY_S3_PYTHON"
"""Environment variable with the Python that has moto; by default that of `.venv-s3`. `make s3` makes it."""
ROOT = Path(__file__).resolve().parents[1]
_CREDENTIAL = re.compile(r"Credential=([^/]+)/")


class Request(NamedTuple):
    method: str
    path: str
    query: str
    key: str
    status: int


def python():
    """The Python that has moto; None where `make s3` did not come to its end."""
    path = Path(os.environ.get(VARIABLE) or ROOT / ".venv-s3" / "bin" / "python")
    return path if (path.parents[1] / ".ready").exists() else None


class S3Server:
    def __init__(self, folder):
        self._log = Path(folder) / "s3-requests.jsonl"
        self._errors = Path(folder) / "s3-errors.txt"

    def __enter__(self):
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [str(python()), __file__, str(self._log)], stdout=subprocess.PIPE, stderr=errors, text=True
            )
        self.port = (self._process.stdout.readline() or "").strip()
        if not self.port:
            self._process.kill()
            raise AssertionError(f"the S3 server did not start: {self._errors.read_text()[-2000:]}")
        self.made(BUCKET)
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def uri(self, path, **options):
        told = {
            "endpoint_override": f"http://127.0.0.1:{self.port}",
            "scheme": "http",
            "region": "us-east-1",
            **options,
        }
        return f"s3://{BUCKET}/{path}?" + "&".join(f"{name}={value}" for name, value in told.items())

    def made(self, bucket):
        """Make a bucket, as a person would have done: the package makes none."""
        from pyarrow import fs

        files, _ = fs.FileSystem.from_uri(self.uri("", allow_bucket_creation="true"))
        files.create_dir(bucket)

    def requests(self):
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [Request(**json.loads(line)) for line in lines]


def serve(log):
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    moto, lines = DomainDispatcherApplication(create_backend_app), Path(log).open("a", buffering=1)  # noqa: SIM115

    def app(environ, start_response):
        found = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        said = {"method": environ["REQUEST_METHOD"], "path": environ["PATH_INFO"], "query": environ["QUERY_STRING"]}
        said["key"] = found.group(1) if found else ""

        def answer(status, headers, *rest):
            lines.write(json.dumps({**said, "status": int(status.split()[0])}) + "\n")
            return start_response(status, headers, *rest)

        if said["key"] != KEY:
            answer("403 Forbidden", [("Content-Type", "application/xml")])
            return [b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"]
        return moto(environ, answer)

    server = make_server("127.0.0.1", 0, app, threaded=True)
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    serve(sys.argv[1])
