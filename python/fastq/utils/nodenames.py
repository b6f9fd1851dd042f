"""Celery's path of node names; see `fastq.names`."""

from __future__ import annotations

from fastq.app.topology import worker_direct
from fastq.names import anonymous_node as anon_nodename
from fastq.names import default_node as default_nodename
from fastq.names import expand_host as host_format
from fastq.names import host_name as gethostname
from fastq.names import node_name as nodename
from fastq.names import split_node as nodesplit

__all__ = ["anon_nodename", "default_nodename", "gethostname", "host_format", "nodename", "nodesplit", "worker_direct"]
