"""Settings of signed messages."""

from __future__ import annotations

from fastq.conf.kinds import BYTES, TEXT
from fastq.conf.option import Option

__all__ = ["OPTIONS"]

OPTIONS = (
    Option(
        "security_certificate",
        TEXT,
        None,
        "Path of the certificate that messages are signed with.",
        old="CELERY_SECURITY_CERTIFICATE",
        acts=False,
    ),
    Option(
        "security_cert_store",
        TEXT,
        None,
        "Directory or glob of the certificates that are trusted.",
        old="CELERY_SECURITY_CERT_STORE",
        acts=False,
    ),
    Option(
        "security_key",
        TEXT,
        None,
        "Path of the private key that messages are signed with.",
        old="CELERY_SECURITY_KEY",
        acts=False,
    ),
    Option(
        "security_key_password",
        BYTES,
        None,
        "Password of the private key.",
        old="CELERY_SECURITY_KEY_PASSWORD",
        secret=True,
        acts=False,
    ),
    Option("security_digest", TEXT, "sha256", "Digest of signatures.", old="CELERY_SECURITY_DIGEST", acts=False),
)
