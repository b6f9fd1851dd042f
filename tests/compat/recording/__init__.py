"""What runs inside an environment with Celery while `scripts/golden.py` listens to its Redis server."""
