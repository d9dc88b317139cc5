"""No cluster here: manifests are checked by Kubernetes' own schemas, and their promises by real processes."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from stack.programs import ROOT

FOLDER = ROOT / "stack" / "kubernetes"
MANIFESTS = [
    pytest.param(document, id=f"{path.relative_to(FOLDER)}: {document['kind']}")
    for path in sorted(FOLDER.rglob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
]


def document_of(manifest: Any) -> dict[str, Any]:
    return dict(manifest.values[0])


BUILT_IN = [each for each in MANIFESTS if "opentelemetry" not in document_of(each)["apiVersion"]]
PROGRAM = """
import os, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import requests

class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *words):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
threading.Thread(target=server.serve_forever, daemon=True).start()
for _ in range(int(sys.argv[1])):
    requests.get(f"http://127.0.0.1:{server.server_port}/")
print("pid", os.getpid())
server.shutdown()
server.server_close()
"""


@pytest.mark.parametrize("document", BUILT_IN)
def test_a_manifest_is_valid(document):
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_a_wrong_word_is_noticed():
    document = yaml.safe_load((FOLDER / "operator" / "deployment.yaml").read_text(encoding="utf-8"))
    document["spec"]["template"]["spec"]["contianers"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def document(name: str, kind: str) -> dict:
    output = yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8"))
    return next(each for each in output if each["kind"] == kind)


@pytest.mark.parametrize("manifest", [each for each in BUILT_IN if document_of(each)["kind"] == "Deployment"])
def test_a_variable_is_defined_before_it_is_used(manifest):
    """Kubernetes fills in only variables defined above; any other stays as `$(NAME)`."""
    for container in manifest["spec"]["template"]["spec"]["containers"]:
        known: set[str] = set()
        for variable in container.get("env", ()):
            assert set(re.findall(r"\$\((\w+)\)", variable.get("value", ""))) <= known
            known.add(variable["name"])


def test_the_collectors_configuration_reads_its_settings():
    (container,) = document("collector.yaml", "Deployment")["spec"]["template"]["spec"]["containers"]
    read = set(re.findall(r"\$\{env:(\w+)", (ROOT / "otel-collector.yaml").read_text(encoding="utf-8")))
    assert {variable["name"] for variable in container["env"]} <= read


def test_the_services_send_to_the_collectors_service():
    service = document("collector.yaml", "Service")
    port = next(each["port"] for each in service["spec"]["ports"] if each["name"] == "otlp-http")
    endpoint = f"http://{service['metadata']['name']}:{port}"
    (container,) = document("deployment.yaml", "Deployment")["spec"]["template"]["spec"]["containers"]
    assert {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": endpoint} in container["env"]
    assert document("operator/instrumentation.yaml", "Instrumentation")["spec"]["exporter"] == {
        "endpoint": endpoint
    }


def test_the_annotation_names_the_instrumentation():
    deployment = document("operator/deployment.yaml", "Deployment")
    instrumentation = document("operator/instrumentation.yaml", "Instrumentation")
    assert deployment["spec"]["template"]["metadata"]["annotations"] == {
        "instrumentation.opentelemetry.io/inject-python": instrumentation["metadata"]["name"]
    }


def operators_folder(folder: Path) -> Path:
    """The folder /autoinstrumentation in the image of operator/Dockerfile: OpenTelemetry, with poolscope added."""
    added = folder / "autoinstrumentation"
    added.mkdir()
    for path in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if path.name.startswith("opentelemetry"):
            (added / path.name).symlink_to(path)
    # The result of `pip install --no-deps --target`: the package, and its entry points.
    shutil.copytree(ROOT / "src" / "poolscope", added / "poolscope")
    output = next(f for f in importlib.metadata.files("poolscope") or () if f.name == "entry_points.txt")
    shutil.copytree(Path(output.locate()).parent, added / "poolscope-0.1.0.dist-info")
    # Not in the folder, even if it is in this environment.
    for name in ("click", "rich"):
        (added / f"{name}.py").write_text("raise ImportError('not with --no-deps')\n", encoding="utf-8")
    return added


@pytest.mark.processes
def test_the_operators_folder_is_enough(tmp_path):
    """A program without OpenTelemetry, started as the Operator starts it: by PYTHONPATH alone."""
    added = operators_folder(tmp_path)
    program = tmp_path / "shop.py"
    program.write_text(PROGRAM, encoding="utf-8")
    environment = {
        **os.environ,
        "PYTHONPATH": f"{added / 'opentelemetry/instrumentation/auto_instrumentation'}:{added}",
        "OTEL_TRACES_EXPORTER": "console",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "requests,urllib3",
    }
    ran = subprocess.run(
        [sys.executable, str(program), "1"], env=environment, capture_output=True, text=True, timeout=100
    )
    assert ran.returncode == 0, ran.stderr
    assert '"name": "GET"' in ran.stdout
    assert '"name": "HTTP connection_setup"' in ran.stdout
    # Our package from this folder, not from this environment.
    asked = [sys.executable, "-c", "import poolscope; print(poolscope.__file__)"]
    where = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=100).stdout
    assert str(added) in where


@pytest.mark.root
def test_two_pods_share_a_volume(tmp_path):
    """Each is process 1 in its own namespace; the pod's name keeps their files apart."""
    deployment = document("volume.yaml", "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (value,) = [each["value"] for each in container["env"] if each["name"] == "POOLSCOPE"]
    (mount,) = container["volumeMounts"]
    program = tmp_path / "shop.py"
    program.write_text(PROGRAM, encoding="utf-8")
    pods = {}
    for pod, requests in (("shop-a", 3), ("shop-b", 5)):
        options = value.replace("$(POD_NAME)", pod).replace(mount["mountPath"], str(tmp_path))
        command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, str(program), str(requests)]
        pods[pod] = subprocess.Popen(
            command, env={**os.environ, "POOLSCOPE": options}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    for pod, requests in (("shop-a", 3), ("shop-b", 5)):
        out, _ = pods[pod].communicate(timeout=60)
        assert out == b"pid 1\n"
        asked = [sys.executable, "-m", "poolscope", "view", "--json", str(tmp_path / f"{pod}.jsonl")]
        seen = json.loads(subprocess.run(asked, capture_output=True, text=True, timeout=60).stdout)
        assert seen["totals"]["requests"] == requests
