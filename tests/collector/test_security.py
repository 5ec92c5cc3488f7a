"""The page's TLS and tokens: the agent shows the gateway its token, the gateway the bridge its own, all over TLS."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.certificates import make_certificates
from kit.chains import TRAIN, wait_until_whole
from kit.collectors import Bridge, Hop, example
from kit.otlp_receiver import OtlpReceiver
from kit.processes import trainer, wait_until

from evsys_otel.store import open_store

pytestmark = pytest.mark.real

AGENT, GATEWAY = example("TLS and tokens"), example("TLS and tokens", 1)


@pytest.mark.parametrize("agent_token", ["agent-word", "wrong-word"])
def test_only_an_agent_with_a_token_gets_through(tmp_path: Path, agent_token: str) -> None:
    """With the right token a run ends whole in the store; with a wrong one nothing of it gets there."""
    files = make_certificates(tmp_path)
    (tmp_path / "tokens").write_text("agent-word\nother-word\n")
    environ = {
        "EVSYS_TLS_CA": files.authority, "EVSYS_TLS_CERTIFICATE": files.server, "EVSYS_TLS_KEY": files.server_key,
        "EVSYS_AGENT_TOKEN": agent_token, "EVSYS_AGENT_TOKENS_FILE": str(tmp_path / "tokens"),
        "EVSYS_BRIDGE_TOKEN": "bridge-word",
    }  # fmt: skip
    tls = ("--tls-certificate", files.server, "--tls-key", files.server_key)
    store_url = f"sqlite:///{tmp_path}/bridge.db"
    bridge = Bridge(tmp_path, store_url, *tls, authority=files.authority, EVSYS_OTEL_TOKENS="bridge-word=*")
    with OtlpReceiver("grpc") as tempo, bridge, open_store(store_url) as store:
        servers = {"EVSYS_TEMPO": f"127.0.0.1:{tempo.port}", "EVSYS_BRIDGE": bridge.grpc}
        with (
            Hop("gateway", tmp_path, GATEWAY, **servers, **environ) as gateway,
            Hop("agent", tmp_path, AGENT, EVSYS_GATEWAY=gateway.grpc, **environ) as agent,
            trainer(TRAIN, tmp_path, "20", **agent.endpoint()) as process,
        ):
            run_id = process.read_line()
            process.wait()
            if agent_token == "agent-word":
                wait_until_whole(store, run_id)
            else:
                wait_until(lambda: agent.total("otelcol_exporter_send_failed_log_records") > 0)
                assert store.list_runs() == []
