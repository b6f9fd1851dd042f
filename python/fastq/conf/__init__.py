"""Settings: every option declared once, read from all the places people write them."""

from __future__ import annotations

from fastq.conf.defaults import OPTIONS
from fastq.conf.option import Option
from fastq.conf.settings import Settings

__all__ = ["OPTIONS", "Option", "Settings"]
