"""The one table of settings: argument beats environment beats default, and each is documented beneath itself.

A bad argument raises ConfigurationError; a bad environment value is warned about once and its default is used.
The standard ``OTEL_*`` variables are read by ``evsys_otel.otlp.config``, which alone knows their rules.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from evsys_otel.errors import ConfigurationError

_logger = logging.getLogger(__name__)

MIB = 1024 * 1024

_AMOUNT = re.compile(r"\d+(\.\d*)?")
_STORE_URL = re.compile(r"sqlite(\+pysqlite)?:///(?!:memory:)[^?].*|postgres(ql)?(\+psycopg)?://.*", re.DOTALL)


def _text(raw: str) -> str:
    return raw


def _store(raw: str) -> str:
    """Refuse at the start what no store can be; the rest is seen when it is opened, by ``evsys_otel.store``."""
    text = raw.strip()
    if text.lower() in {"none", ""} or _STORE_URL.fullmatch(text):
        return text
    other = re.match(r"(?!sqlite|postgres)(\w+)[^:]*://", text)
    known = "sqlite:///path, postgresql://user@host/database, or none"
    raise ValueError(known if other is None else f"{known}; it cannot be a {other[1]} database")


def _flag(raw: str) -> bool:
    lowered = raw.strip().lower()
    if lowered in {"1", "true", "yes", "on"}:
        return True
    if lowered in {"0", "false", "no", "off"}:
        return False
    raise ValueError("one of true, false")


def _positive_int(raw: str) -> int:
    if not (raw.strip().isdecimal() and int(raw) > 0):
        raise ValueError("a whole number above 0")
    return int(raw)


def _amount(raw: str) -> float:
    if not _AMOUNT.fullmatch(raw.strip()):
        raise ValueError("a number, 0 or more")
    return float(raw)


def _words(raw: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in raw.split(",") if word.strip())


def _choice(*allowed: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        lowered = raw.strip().lower()
        if lowered not in allowed:
            raise ValueError("one of " + ", ".join(allowed))
        return lowered

    return parse


def _setting(env: str, default: Any, parse: Callable[[str], Any], doc: str, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"env": env, "parse": parse, "doc": doc})


DEFAULT_SECRET_WORDS = (
    "apikey", "api_key", "auth", "authorization", "bearer", "credential", "credentials", "passphrase", "passwd",
    "password", "private_key", "pwd", "secret", "secrets", "token",
)


DEFAULT_SECRET_EXCEPTIONS = (
    "bos_token", "cls_token", "eos_token", "mask_token", "pad_token", "sep_token", "token_count", "unk_token",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting of the package, resolved; build one with :func:`resolve_settings`."""

    mode: str = _setting(
        "EVSYS_OTEL_MODE", "process", _choice("process", "journal", "disabled"),
        "`process` starts the shipper, `journal` only records and leaves the rest to `evsys-otel sync`, "
        "`disabled` turns everything off.",
    )
    dir: str = _setting(
        "EVSYS_OTEL_DIR", ".evsys", _text, "Folder of the journals and, by default, of the local store."
    )
    store: str | None = _setting(
        "EVSYS_OTEL_STORE", None, _store,
        "URL of the store (`sqlite:///path` or `postgresql://...`); `none` writes no local store. "
        "Default: `evsys.db` in the folder above.",
        secret=True,
    )
    project_id: str | None = _setting(
        "EVSYS_PROJECT_ID", None, _text, "Project that experiments belong to when none is given."
    )
    experiment: str | None = _setting(
        "EVSYS_OTEL_EXPERIMENT", None, _text,
        "Handle of an experiment that this process joins in place of starting its own.",
    )
    otlp_endpoint: str | None = _setting(
        "EVSYS_OTEL_OTLP_ENDPOINT", None, _text,
        "OTLP endpoint that signals are sent to besides the store, in place of the standard `OTEL_EXPORTER_OTLP_*` "
        "endpoint variables.",
    )
    otlp_protocol: str | None = _setting(
        "EVSYS_OTEL_OTLP_PROTOCOL", None, _choice("grpc", "http/protobuf"),
        "`grpc` or `http/protobuf`, in place of the standard's protocol variables.",
    )
    otlp_headers: str | None = _setting(
        "EVSYS_OTEL_OTLP_HEADERS", None, _text,
        "Headers of OTLP requests, `key=value,key=value`, in place of the standard's; never journalled.",
        secret=True,
    )
    otlp_predictions: bool = _setting(
        "EVSYS_OTEL_OTLP_PREDICTIONS", True, _flag,
        "Whether prediction texts are sent over OTLP; the local store has them in any case.",
    )
    otlp_max_request_bytes: int = _setting(
        "EVSYS_OTEL_OTLP_MAX_REQUEST_BYTES", MIB, _positive_int, "Largest OTLP request that holds several records."
    )
    otlp_max_record_bytes: int = _setting(
        "EVSYS_OTEL_OTLP_MAX_RECORD_BYTES", 3 * MIB, _positive_int,
        "Largest single record sent over OTLP; a larger one has its texts shortened, marked and counted.",
    )
    otlp_max_bytes_per_second: int = _setting(
        "EVSYS_OTEL_OTLP_MAX_BYTES_PER_SECOND", 8 * MIB, _positive_int,
        "Pace of a backlog over OTLP: a collector merges faster bursts past its next hop's limit and drops them.",
    )
    journal_max_waiting_bytes: int = _setting(
        "EVSYS_OTEL_JOURNAL_MAX_WAITING_BYTES", 8 * 1024 * MIB, _positive_int,
        "Bytes that may wait for delivery in one journal before new step values are refused and counted.",
    )
    journal_keep_days: float = _setting(
        "EVSYS_OTEL_JOURNAL_KEEP_DAYS", 7.0, _amount, "Days that a shipped journal is kept for `sync --again`."
    )
    journal_keep_bytes: int = _setting(
        "EVSYS_OTEL_JOURNAL_KEEP_BYTES", 2 * 1024 * MIB, _positive_int,
        "Bytes of shipped journals that are kept; the oldest are removed first.",
    )
    exit_timeout_seconds: float | None = _setting(
        "EVSYS_OTEL_EXIT_TIMEOUT", None, _amount,
        "Seconds that the process waits at its exit for the drain. Default: 10; 30 where the machine ends with the "
        "process (PID 1, SLURM, Kubernetes).",
    )
    heartbeat_seconds: float = _setting(
        "EVSYS_OTEL_HEARTBEAT", 30.0, _amount, "Seconds between two heartbeats of a running run; 0 sends none."
    )
    config_max_bytes: int = _setting(
        "EVSYS_OTEL_CONFIG_MAX_BYTES", 256 * 1024, _positive_int,
        "Largest stored config of a run; long lists of rows are replaced by their count first.",
    )
    secret_words: tuple[str, ...] = _setting(
        "EVSYS_OTEL_SECRET_WORDS", DEFAULT_SECRET_WORDS, _words,
        "Whole words that mark a key of a config or an option of a command as secret; its value is replaced.",
    )
    secret_exceptions: tuple[str, ...] = _setting(
        "EVSYS_OTEL_SECRET_EXCEPTIONS", DEFAULT_SECRET_EXCEPTIONS, _words,
        "Keys that are kept although they hold such a word.",
    )
    silent_ranks: str = _setting(
        "EVSYS_OTEL_SILENT_RANKS", "torch", _choice("torch", "all", "none"),
        "Which ranks other than 0 stay silent: those of `RANK` with `WORLD_SIZE` (`torch`), those of SLURM and MPI "
        "too (`all`), or `none`.",
    )
    quiet: bool = _setting("EVSYS_OTEL_QUIET", False, _flag, "Whether the lines on standard error are left out.")
    serve_grpc: str = _setting(
        "EVSYS_OTEL_SERVE_GRPC", "127.0.0.1:4317", _text,
        "Address on which `evsys-otel serve` takes OTLP/gRPC; `none` for not at all.",
    )
    serve_http: str = _setting(
        "EVSYS_OTEL_SERVE_HTTP", "127.0.0.1:4318", _text,
        "Address on which `evsys-otel serve` takes OTLP/HTTP and shows its health and metrics; `none` for not at all.",
    )
    serve_max_request_bytes: int = _setting(
        "EVSYS_OTEL_SERVE_MAX_REQUEST_BYTES", 64 * MIB, _positive_int,
        "Largest request that `evsys-otel serve` takes, as it comes and decompressed.",
    )
    serve_max_waiting_bytes: int = _setting(
        "EVSYS_OTEL_SERVE_MAX_WAITING_BYTES", 256 * MIB, _positive_int,
        "Bytes of requests that may wait for the store in `evsys-otel serve` before more are put off.",
    )
    tokens: str | None = _setting(
        "EVSYS_OTEL_TOKENS", None, _text,
        "Bearer tokens that `evsys-otel serve` knows, each with its projects (`token=project,token=project+project,"
        "token=*`), or the path of a file with one of these a line. Default: whoever can connect may write.",
        secret=True,
    )
    keep_records_days: int | None = _setting(
        "EVSYS_OTEL_KEEP_RECORDS_DAYS", None, _positive_int,
        "Days after which `evsys-otel serve` removes an experiment of which nothing was heard since, with all that "
        "belongs to it and for good. Default: experiments are kept.",
    )

    @property
    def root(self) -> Path:
        """Absolute folder of the journals and the default store; as given where it depends on what is not there."""
        try:
            return Path(self.dir).expanduser().absolute()
        except (OSError, RuntimeError):  # no working directory, no such user
            return Path(self.dir)

    @property
    def journal_root(self) -> Path:
        """Folder that holds one folder for each journal."""
        return self.root / "journal"

    @property
    def store_url(self) -> str | None:
        """SQLAlchemy URL of the store, None when there is to be none."""
        if self.store is None:
            return f"sqlite:///{self.root / 'evsys.db'}"
        return None if self.store.strip().lower() in {"none", ""} else self.store


_warned: set[tuple[str, str]] = set()


def resolve_settings(environ: Mapping[str, str] | None = None, **arguments: Any) -> Settings:
    """Return the settings that arguments, then the environment, then the defaults give; None arguments are not given.

    Raises:
        ConfigurationError: an argument is unknown or cannot be used.
    """
    env = os.environ if environ is None else environ
    known = {f.name: f for f in fields(Settings)}
    for name in arguments:
        if name not in known:
            raise ConfigurationError(f"{name!r} is not a setting; the settings are {', '.join(sorted(known))}.")
    values: dict[str, Any] = {}
    for name, spec in known.items():
        if arguments.get(name) is not None:
            values[name] = _from_argument(spec, arguments[name])
        elif env.get(spec.metadata["env"], "").strip():
            _take_from_environment(values, spec, env)
    return Settings(**values)


def _from_argument(spec: Field[Any], value: Any) -> Any:
    if isinstance(value, (list, tuple, set, frozenset)):
        value = ",".join(map(str, value))
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    try:
        return spec.metadata["parse"](str(value))
    except ValueError as error:
        shown = "..." if spec.repr is False else repr(value)
        raise ConfigurationError(f"{spec.name}={shown} cannot be used; give {error}.") from None


def _take_from_environment(values: dict[str, Any], spec: Field[Any], env: Mapping[str, str]) -> None:
    variable = spec.metadata["env"]
    try:
        values[spec.name] = spec.metadata["parse"](env[variable])
    except ValueError as error:
        if (variable, env[variable]) not in _warned:
            _warned.add((variable, env[variable]))
            _logger.warning("%s cannot be used and its default is taken; set it to %s", variable, error)


def settings_to_environment(settings: Settings) -> dict[str, str]:
    """Return the variables that make another process resolve the same settings (credentials included: no file)."""
    out: dict[str, str] = {}
    for spec in fields(Settings):
        value = getattr(settings, spec.name)
        if value is None or value == spec.default:
            continue
        out[spec.metadata["env"]] = ",".join(value) if isinstance(value, tuple) else _to_text(value)
    return out


def _to_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
