"""What is built with fastq and comes with it."""
