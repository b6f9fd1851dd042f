from __future__ import annotations

from tests.support.places import database_url, redis_server

__all__ = ["database_url", "redis_server"]
