"""The shipped files themselves: valid, explained, of the components that are built, and printed wherever installed."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from kit.collectors import CONFIGURATIONS, Hop, example, require_collector, script

NAMES = ("agent", "gateway", "direct")
KINDS = ("receivers", "processors", "exporters", "extensions", "connectors")
PRINTED = {
    **{name: f"{name}.yaml" for name in (*NAMES, "builder")}, "prometheus": "prometheus/prometheus.yaml",
    "rules": "prometheus/rules.yaml", "dashboard": "grafana/dashboard.json",
}  # fmt: skip
MODULES = {
    "otlp": "otlpreceiver",
    "otlp_grpc": "otlpexporter",
    "otlp_http": "otlphttpexporter",
    "prometheus": "prometheusexporter",
    "memory_limiter": "memorylimiterprocessor",
    "filter": "filterprocessor",
    "probabilistic_sampler": "probabilisticsamplerprocessor",
    "file_storage": "filestorage",
    "health_check": "healthcheckextension",
    "bearertokenauth": "bearertokenauthextension",
}
MEASURED_WITH = {"nopexporter"}


def text_of(name: str) -> str:
    return (CONFIGURATIONS / f"{name}.yaml").read_text()


def read(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def examples() -> list[str]:
    return [example("Sampling"), example("TLS and tokens"), example("TLS and tokens", 1)]


@pytest.mark.real
@pytest.mark.parametrize("name", NAMES)
def test_a_real_collector_finds_a_file_valid(name: str, tmp_path: Path) -> None:
    """With its defaults, and the queue in a folder that can be written."""
    hop = Hop(name, tmp_path)
    queue = {key: value for key, value in hop.environ.items() if key.endswith("QUEUE")}
    done = subprocess.run(
        [require_collector(), "validate", *hop.configurations], env=queue, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_collector_is_built_of_exactly_what_is_used() -> None:
    """Every component of a file or of the page's examples is in the manifest, and nothing else, at one version."""
    used = {
        MODULES[component.partition("/")[0]]
        for configuration in map(read, [*map(text_of, NAMES), *examples()])
        for kind in KINDS for component in configuration.get(kind, {})
    }  # fmt: skip
    manifest = read(text_of("builder"))
    modules = [line["gomod"].split() for kind in KINDS for line in manifest.get(kind, [])]
    assert {path.rpartition("/")[2] for path, _ in modules} == used | MEASURED_WITH
    assert {version for _, version in modules} == {f"v{manifest['dist']['version']}"}


@pytest.mark.parametrize("name", [*NAMES, "builder"])
def test_each_block_says_why(name: str) -> None:
    """Right above each top-level part of a section, and each part of a manifest, there is a comment."""
    lines = text_of(name).splitlines()
    indent = "" if name == "builder" else "  "
    blocks = [
        number for number, line in enumerate(lines)
        if re.fullmatch(rf"{indent}[a-z]\S*:.*", line) and not re.match(rf"{indent}(extensions: \[)", line)
    ]  # fmt: skip
    assert [lines[number] for number in blocks if not lines[number - 1].lstrip().startswith("#")] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_head_of_a_file_names_its_variables_and_their_defaults(name: str) -> None:
    """Those that are used, and no others."""
    text = text_of(name)
    used = dict(re.findall(r"\$\{env:(\w+):-([^}]*)\}", text))
    told = dict(re.findall(r"^#   (EVSYS_\w+) +(\S+)", text, re.MULTILINE))
    assert told == used


@pytest.mark.parametrize("name", NAMES)
def test_no_queue_forgets_and_no_retry_ends(name: str) -> None:
    """Each sender waits without end, on disk, in bytes, and its batches fit the next hop; nothing batches before."""
    configuration = read(text_of(name))
    senders = {key: each for key, each in configuration["exporters"].items() if key.startswith("otlp")}
    assert senders
    for key, sender in senders.items():
        queue = sender["sending_queue"]
        assert sender["retry_on_failure"]["max_elapsed_time"] == 0
        assert (queue["storage"], queue["sizer"], queue["block_on_overflow"]) == ("file_storage/queue", "bytes", False)
        limit = 4 * 1024 * 1024 if key.endswith("tempo") else 64 * 1024 * 1024
        assert 3 * 1024 * 1024 < queue["batch"]["max_size"] < limit
    assert not any(processor.startswith("batch") for processor in configuration["processors"])


@pytest.mark.parametrize("name", PRINTED)
def test_the_command_prints_each_file(name: str) -> None:
    """To the last byte, from a checkout."""
    done = subprocess.run([script("evsys-otel"), "collector-config", name], capture_output=True, check=True)
    assert done.stdout == (CONFIGURATIONS / PRINTED[name]).read_bytes()


def test_a_wheel_carries_the_files_and_the_command_finds_them(tmp_path: Path) -> None:
    """Installed from a wheel, the command prints the same."""
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--disable-pip-version-check"]
    done = subprocess.run(
        [*build, "-w", str(tmp_path), str(CONFIGURATIONS.parent)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "installed")
    ask = "import sys; from evsys_otel.cli import main; sys.exit(main(['collector-config', 'agent']))"
    found = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path / 'installed')!r}); {ask}"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )
    assert found.stdout == text_of("agent")
