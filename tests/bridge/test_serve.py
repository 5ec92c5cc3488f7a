"""`evsys-otel serve` as a process: trainings ship to it, TLS and tokens guard it, a signal ends it."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import grpc
import pytest
from kit.certificates import Certificates, make_certificates
from kit.collectors import Bridge, script
from kit.otlp_messages import run_start
from kit.otlp_receiver import METHODS, free_port
from kit.processes import clean_environment

from evsys_otel.store import open_store

RUN = "00000000-0000-4000-8000-000000000007"

TRAINER = """
import evsys_otel
with evsys_otel.start_experiment("sweep", hypothesis="it helps", tags=["a", "é"], quiet=True) as experiment:
    for seed in range(2):
        with experiment.run(f"seed={seed}", seed=seed, config={"lr": 0.1, "rows": [1, 2]}) as run:
            for step in range(3000):
                run.log({"loss": float("nan") if step % 7 == 0 else -0.0 if step % 5 == 0 else 1 / (step + 1),
                         "acc": step}, step=step, split="train" if step % 2 else "val")
            run.log_eval("final", {"accuracy": 0.5}, step=2999)
            run.log_predictions([{"task_id": str(i), "output": "x" * 2000, "reward": 0.5} for i in range(50)], step=1)
            run.log_checkpoint("/tmp/model.pt", step=2999, is_final=True)
"""


def run_trainer(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", TRAINER], cwd=folder, env=clean_environment(**environ), capture_output=True, text=True,
        timeout=120, check=True,
    )  # fmt: skip


def dump_of(url: str) -> dict[str, Any]:
    with open_store(url) as store:
        return {table: rows for table, rows in store.dump().items() if table != "journals"}


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_what_a_training_ships_is_the_store_that_it_writes_itself(tmp_path: Path, protocol: str) -> None:
    """Field by field, NaN and the minus of zeros included, and every run is whole; then the bridge ends with 0."""
    url = f"sqlite:///{tmp_path}/bridge.db"
    with Bridge(tmp_path, url) as bridge:
        endpoint = f"http://{bridge.grpc if protocol == 'grpc' else bridge.http}"
        run_trainer(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_EXPORTER_OTLP_PROTOCOL=protocol)
        assert bridge.end(signal.SIGTERM) == 0
    assert repr(dump_of(url)) == repr(dump_of(f"sqlite:///{tmp_path}/.evsys/evsys.db"))
    with open_store(url) as store:
        assert [run["completeness"] for run in store.list_runs()] == ["whole", "whole"]


def start_run(address: str, credentials: grpc.ChannelCredentials | None, **metadata: str) -> grpc.StatusCode:
    channel = grpc.secure_channel(address, credentials) if credentials else grpc.insecure_channel(address)
    with channel:
        try:
            body = run_start("mine", RUN).SerializeToString()
            channel.unary_unary(METHODS["logs"])(body, timeout=10, metadata=tuple(metadata.items()))
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def is_healthy(address: str, context: ssl.SSLContext) -> bool:
    try:
        with urllib.request.urlopen(f"https://{address}/readyz", timeout=10, context=context) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def start_with_tls(folder: Path, *arguments: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
    process = subprocess.Popen(
        [str(script("evsys-otel")), "serve", "--json", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", *arguments],
        cwd=folder, env=clean_environment(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    text = ""
    while not text.endswith("}\n"):
        line = process.stdout.readline()
        assert line, "serve ended"
        text += line
    return process, json.loads(text)


@pytest.mark.parametrize("mutual", [False, True], ids=["tls", "mutual"])
def test_tls_guards_both_servers(tmp_path: Path, certificates: Certificates, mutual: bool) -> None:
    """Who speaks no TLS, or has no certificate where one is asked for, is out, over gRPC and HTTP alike."""
    arguments = ["--tls-certificate", certificates.server, "--tls-key", certificates.server_key]
    arguments += ["--tls-client-ca", certificates.authority] if mutual else []
    process, told = start_with_tls(tmp_path, *arguments)
    try:
        authority = Path(certificates.authority).read_bytes()
        own = [Path(certificates.client_key).read_bytes(), Path(certificates.client).read_bytes()]
        known, anonymous = grpc.ssl_channel_credentials(authority, *own), grpc.ssl_channel_credentials(authority)
        http = told["http"].removeprefix("https://")
        context = ssl.create_default_context(cafile=certificates.authority)
        assert start_run(told["grpc"], None) is grpc.StatusCode.UNAVAILABLE
        assert (start_run(told["grpc"], anonymous) is grpc.StatusCode.OK) is not mutual
        assert is_healthy(http, context) is not mutual
        context.load_cert_chain(certificates.client, certificates.client_key)
        assert start_run(told["grpc"], known) is grpc.StatusCode.OK
        assert is_healthy(http, context)
    finally:
        process.terminate()
        assert process.wait(30) == 0
        process.stdout.close()  # type: ignore[union-attr]


def test_a_file_of_tokens_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """A token can be taken away without a restart."""
    file = tmp_path / "tokens"
    file.write_text("first=mine\n")
    with Bridge(tmp_path, f"sqlite:///{tmp_path}/a.db", "--tokens", str(file)) as bridge:
        assert start_run(bridge.grpc, None) is grpc.StatusCode.UNAUTHENTICATED
        assert start_run(bridge.grpc, None, authorization="Bearer first") is grpc.StatusCode.OK
        file.write_text("another-one=mine\n")
        assert start_run(bridge.grpc, None, authorization="Bearer first") is grpc.StatusCode.UNAUTHENTICATED
        assert start_run(bridge.grpc, None, authorization="Bearer another-one") is grpc.StatusCode.OK


def ended(folder: Path, *arguments: str, **environ: str) -> tuple[int, str]:
    done = subprocess.run(
        [str(script("evsys-otel")), "serve", *arguments], cwd=folder, env=clean_environment(**environ),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


def test_what_cannot_be_served_is_said_in_one_sentence(tmp_path: Path, certificates: Certificates) -> None:
    """Arguments, addresses in use, TLS files, stores: nothing starts by half."""
    taken = f"127.0.0.1:{free_port()}"
    nowhere = ("--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0")
    key = ("--tls-key", certificates.server_key)
    with Bridge(tmp_path, f"sqlite:///{tmp_path}/a.db") as bridge:
        for address in (bridge.grpc, bridge.http):
            assert ended(tmp_path, "--grpc", address, "--http", "127.0.0.1:0")[0] == 1
            assert ended(tmp_path, "--grpc", "127.0.0.1:0", "--http", address)[0] == 1
    for arguments, code, says in (
        (("--grpc", "4317"), 1, "HOST:PORT"),
        (("--grpc", "none", "--http", "none"), 2, "nothing to serve"),
        (("--tls-key", certificates.server_key), 2, "--tls-certificate"),
        ((*nowhere, *key, "--tls-certificate", "nowhere.pem"), 1, "nowhere.pem"),
        ((*nowhere, *key, "--tls-certificate", certificates.client), 1, "cannot be used"),
        (("--tokens", "nowhere.txt"), 1, "token"),
        (("--store", "mysql://u:hunter2@h/db", "--http", taken), 1, "store"),
        (("--store", "none"), 1, "no store"),
    ):
        got, errors = ended(tmp_path, *arguments)
        assert (got, len(errors.splitlines())) == (code, 1), (arguments, errors)
        assert says in errors
        assert "hunter2" not in errors
