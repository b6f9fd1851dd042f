"""What differs between operating systems: pid files, detaching, process titles, signals by name."""
