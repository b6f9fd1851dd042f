"""What happens when things break: processes killed, disks full, many at work on one file."""
