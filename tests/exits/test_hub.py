"""Pushing to a hub: what reaches a server that speaks like one, and what a refusal says."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from small_models import write_model

from selfscan.errors import SelfscanError
from selfscan.exits.export import export
from selfscan.exits.hub import push_to_hub

pytest.importorskip("huggingface_hub", reason="the extra hub is not installed")


class Hub(ThreadingHTTPServer):
    """Notes requests; takes every file whole, so that none goes another way."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.requests: list[tuple[str, str, bytes]] = []
        self.refuses = False
        self.address = f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self._answer(404, {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, self.headers["Authorization"], body))
        if self.server.refuses:
            self._answer(403, {"error": "no place for you"})
        elif "/preupload/" in self.path:
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            self._answer(200, {"files": files})
        else:
            url = f"{self.server.address}/me/genesis"
            commit = {"commitUrl": f"{url}/commit/1234", "commitOid": "1234"}
            self._answer(200, commit if "/commit/" in self.path else {"url": url})

    def _answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the tests quiet."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.setenv("HF_TOKEN", "hf_of_the_test")
        yield server
        server.shutdown()


def test_every_file_arrives(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_model(tmp_path / "run")
    out = export(run, tmp_path / "out", to="safetensors", push_to="me/genesis")
    paths = [path for path, _, _ in hub.requests]
    assert paths[0] == "/api/repos/create"
    assert json.loads(hub.requests[0][2])["visibility"] == "private"
    assert paths[-1] == "/api/models/me/genesis/commit/main"
    assert {token for _, token, _ in hub.requests} == {"Bearer hf_of_the_test"}
    lines = [json.loads(line) for line in hub.requests[-1][2].splitlines()]
    arrived = {
        line["value"]["path"]: base64.b64decode(line["value"]["content"])
        for line in lines
        if line["key"] == "file"
    }
    assert arrived == {path.name: path.read_bytes() for path in out.iterdir()}
    assert f"pushed: {hub.address}/me/genesis/commit/1234" in capsys.readouterr().err


def test_a_refusal_keeps_what_was_written(hub: Hub, tmp_path: Path) -> None:
    hub.refuses = True
    run = write_model(tmp_path / "run")
    with pytest.raises(SelfscanError, match=r"me/genesis: the hub refused .*is written and whole"):
        export(run, tmp_path / "out", to="safetensors", push_to="me/genesis")
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_a_name_needs_an_owner(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="push_to must be owner/name, got 'genesis'"):
        push_to_hub(tmp_path, "genesis")
