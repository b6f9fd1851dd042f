"""Certificates for servers and clients of tests, made by openssl."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


class Certificates:
    """An authority, and what it has signed for a host and for a client."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = self._key("authority")
        self._run("req", "-x509", "-new", "-key", self.key("authority"), "-subj", "/CN=tests", "-days", "2",
                  "-out", self.authority)  # fmt: skip
        self.sign("server", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        self.sign("other", "subjectAltName=DNS:other.example")
        self.sign("client", "subjectAltName=DNS:client.example")

    def key(self, name: str) -> str:
        return str(self.folder / f"{name}.key")

    def sign(self, name: str, extension: str) -> None:
        certificate = self._key(name)
        (self.folder / "extension").write_text(extension)
        request = str(self.folder / "request")
        self._run("req", "-new", "-key", self.key(name), "-subj", f"/CN={name}", "-out", request)
        self._run("x509", "-req", "-in", request, "-CA", self.authority, "-CAkey", self.key("authority"),
                  "-CAcreateserial", "-days", "2", "-extfile", str(self.folder / "extension"),
                  "-out", certificate)  # fmt: skip

    def __getitem__(self, name: str) -> str:
        return str(self.folder / f"{name}.crt")

    def _key(self, name: str) -> str:
        self._run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.key(name))
        return self[name]

    def _run(self, *words: str) -> None:
        program = shutil.which("openssl")
        if program is None:
            pytest.skip("openssl is not installed: it makes the certificates of these tests")
        subprocess.run([program, *words], check=True, capture_output=True)
