"""Values to bytes and back: serializers, compression, and what a reader accepts."""

from __future__ import annotations

from fastq.serialization.compression import compress, decompress
from fastq.serialization.registry import (
    accepted_types,
    content_type_of,
    disable_insecure_serializers,
    dumps,
    enable_insecure_serializers,
    loads,
    register,
    unregister,
)

__all__ = [
    "accepted_types",
    "compress",
    "content_type_of",
    "decompress",
    "disable_insecure_serializers",
    "dumps",
    "enable_insecure_serializers",
    "loads",
    "register",
    "unregister",
]
