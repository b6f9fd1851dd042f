"""The app that a live worker serves; the environment says of which library, with which settings, in which folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.compat.live.works import open_works

__all__ = ["app"]

app = open_works(
    os.environ["LIVE_LIBRARY"], json.loads(os.environ["LIVE_SETTINGS"]), Path(os.environ["LIVE_FOLDER"])
).app
