"""Compatibility with Celery: what it wrote is recorded in `golden/`, and held against what fastq reads and writes."""
