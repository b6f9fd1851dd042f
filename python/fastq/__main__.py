"""`python -m fastq` is the command `fastq`."""

from __future__ import annotations

from fastq.cli.main import main

if __name__ == "__main__":
    main()
