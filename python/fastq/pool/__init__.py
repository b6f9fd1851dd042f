"""Where jobs run: child processes behind a nursery, or the worker's own main thread."""
