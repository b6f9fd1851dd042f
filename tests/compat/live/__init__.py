"""fastq and real Celery at work on one Redis server: every pair of client and worker, and fleets of both."""
