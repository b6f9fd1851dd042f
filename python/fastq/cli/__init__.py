"""The command `fastq`. Commands parse arguments and print; what they do is done elsewhere."""
