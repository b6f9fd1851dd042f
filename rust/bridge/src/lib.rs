//! fastq._core
