"""Celery's import paths of small helpers, and nothing else: each module here only names things that live elsewhere."""
