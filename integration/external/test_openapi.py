"""The admin REST against its own description: schemathesis sends what the document allows and what it does not."""

import json
import pathlib
import subprocess
import sys

#: A run is the same every time, and bounded in time.
SEED = 20_240_117
SECONDS = 60

#: No device has room for what a request may ask for (507), and none is writable after another said so (503): both are true,
#: and no fault of the server.
CONFIG = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 503, 507]
"""

#: What must hold of every answer.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
)


def token(server):
    made = server.cli("admin", "token", "add", "fuzz", "--json", "--endpoint", server.admin)
    return json.loads(made.stdout)["token"]


def test_no_request_gets_an_answer_that_the_document_does_not_know(new_server, tmp_path):
    server = new_server()
    bearer = {"Authorization": f"Bearer {token(server)}"}
    schemathesis = pathlib.Path(sys.executable).with_name("schemathesis")
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    command = [schemathesis, "--config-file", str(config), "run", f"{server.admin}/admin/v1/openapi.json"]
    command += [option for name, text in bearer.items() for option in ("--header", f"{name}: {text}")]
    command += ["--checks", ",".join(CHECKS), "--seed", str(SEED), "--max-time", str(SECONDS)]
    # The server's life is not to be ended, nor the token that the run bears.
    command += ["--max-examples", "25", "--no-color", "--exclude-operation-id", "remove_token"]

    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS + 60)

    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-2_000:]
    assert server.health("ready") in (200, 503)
