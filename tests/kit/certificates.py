"""A folder goes in, an authority with a server's and a client's certificate comes out, made by the openssl binary."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificates:
    """Paths of PEM files; the server's certificate is for localhost and 127.0.0.1."""

    authority: str
    server: str
    server_key: str
    client: str
    client_key: str


def make_certificates(folder: Path) -> Certificates:
    """Create an authority and let it sign one certificate for a server and one for a client."""
    authority, authority_key = folder / "ca.pem", folder / "ca.key"
    openssl(
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=evsys test authority",
        "-keyout", authority_key, "-out", authority,
    )
    extensions = {"server": "subjectAltName=DNS:localhost,IP:127.0.0.1", "client": "extendedKeyUsage=clientAuth"}
    for name, extension in extensions.items():
        request, options = folder / f"{name}.csr", folder / f"{name}.ext"
        options.write_text(extension)
        openssl(
            "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
            "-keyout", folder / f"{name}.key", "-out", request,
        )
        openssl(
            "x509", "-req", "-in", request, "-CA", authority, "-CAkey", authority_key, "-CAcreateserial", "-days", "2",
            "-extfile", options, "-out", folder / f"{name}.pem",
        )
    return Certificates(
        str(authority), str(folder / "server.pem"), str(folder / "server.key"),
        str(folder / "client.pem"), str(folder / "client.key"),
    )


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
