"""Settings of result stores in clusters and clouds."""

from __future__ import annotations

from fastq.conf.kinds import INTEGER, LIST, MAP, NUMBER, TEXT, TEXT_OR_INTEGER
from fastq.conf.option import Option

__all__ = ["OPTIONS"]

OPTIONS = (
    Option("cassandra_servers", LIST, None, "Hosts of Cassandra.", acts=False),
    Option("cassandra_port", TEXT_OR_INTEGER, None, "Port of Cassandra; None: 9042.", acts=False),
    Option("cassandra_keyspace", TEXT, None, "Keyspace of the results.", acts=False),
    Option("cassandra_table", TEXT, None, "Table of the results.", acts=False),
    Option("cassandra_read_consistency", TEXT, None, "Consistency of reads; None: LOCAL_QUORUM.", acts=False),
    Option("cassandra_write_consistency", TEXT, None, "Consistency of writes; None: LOCAL_QUORUM.", acts=False),
    Option("cassandra_entry_ttl", NUMBER, None, "Lifetime of results; None: without limit.", unit="s", acts=False),
    Option(
        "cassandra_bundle_path",
        TEXT,
        None,
        "Unused; `cassandra_secure_bundle_path` is the one that is read.",
        acts=False,
    ),
    Option(
        "cassandra_secure_bundle_path",
        TEXT,
        None,
        "Path of the bundle to connect to a managed Cassandra with.",
        acts=False,
    ),
    Option("cassandra_auth_provider", TEXT, None, "Name of the class that authenticates.", acts=False),
    Option("cassandra_auth_kwargs", MAP, None, "Its arguments.", acts=False),
    Option("cassandra_options", MAP, {}, "More arguments of the cluster object.", acts=False),
    Option(
        "s3_access_key_id", TEXT, None, "Access key of S3; None: as the machine is set up.", secret=True, acts=False
    ),
    Option(
        "s3_secret_access_key", TEXT, None, "Secret key of S3; None: as the machine is set up.", secret=True, acts=False
    ),
    Option("s3_bucket", TEXT, None, "Bucket of the results.", acts=False),
    Option("s3_base_path", TEXT, None, "Beginning of their names.", acts=False),
    Option("s3_endpoint_url", TEXT, None, "Address of a server that speaks S3.", acts=False),
    Option("s3_region", TEXT, None, "Region of the bucket.", acts=False),
    Option("azureblockblob_container_name", TEXT, "celery", "Container of the results.", acts=False),
    Option("azureblockblob_base_path", TEXT, "", "Beginning of their names.", acts=False),
    Option(
        "azureblockblob_retry_initial_backoff_sec",
        INTEGER,
        2,
        "First pause before an operation is repeated.",
        unit="s",
        acts=False,
    ),
    Option("azureblockblob_retry_increment_base", INTEGER, 2, "Base of the growth of the pauses.", acts=False),
    Option("azureblockblob_retry_max_attempts", INTEGER, 3, "How often an operation is tried.", acts=False),
    Option(
        "azureblockblob_connection_timeout", NUMBER, 20.0, "The longest that connecting may take.", unit="s", acts=False
    ),
    Option("azureblockblob_read_timeout", NUMBER, 120.0, "The longest that reading may take.", unit="s", acts=False),
    Option("gcs_bucket", TEXT, None, "Bucket of the results.", acts=False),
    Option("gcs_project", TEXT, None, "Project of the bucket.", acts=False),
    Option("gcs_base_path", TEXT, "", "Beginning of their names.", acts=False),
    Option("gcs_ttl", NUMBER, 0.0, "Lifetime of results; 0: without limit.", unit="s", acts=False),
    Option(
        "gcs_threadpool_maxsize", INTEGER, 10, "Threads that talk to the server at once.", unit="threads", acts=False
    ),
    Option("firestore_project", TEXT, None, "Project of the Firestore that counts the parts of chords.", acts=False),
    Option("dynamodb_endpoint_url", TEXT, None, "Address of a server that speaks DynamoDB.", acts=False),
    Option("cosmosdbsql_database_name", TEXT, "celerydb", "Database of the results.", acts=False),
    Option("cosmosdbsql_collection_name", TEXT, "celerycol", "Collection of the results.", acts=False),
    Option("cosmosdbsql_consistency_level", TEXT, "Session", "Consistency of reads and writes.", acts=False),
    Option("cosmosdbsql_max_retry_attempts", INTEGER, 9, "How often an operation is tried.", acts=False),
    Option("cosmosdbsql_max_retry_wait_time", INTEGER, 30, "The longest that this may take.", unit="s", acts=False),
)
