"""Settings of the broker and the connections to it."""

from __future__ import annotations

from fastq.conf.kinds import FLAG, FLAG_OR_MAP, INTEGER, MAP, NUMBER, OBJECT, TEXT, URLS
from fastq.conf.option import Option

__all__ = ["OPTIONS"]

OPTIONS = (
    Option(
        "broker_url",
        URLS,
        "sqlite:///.fastq/queue.db",
        "Where tasks wait: a URL, a list of them, or several with `;` between them.",
        celery=None,
    ),
    Option("broker_read_url", URLS, None, "Connections of workers; None: `broker_url`."),
    Option("broker_write_url", URLS, None, "Connections of those who call tasks; None: `broker_url`."),
    Option("broker_transport", TEXT, None, "Scheme of a broker URL that has none.", acts=False),
    Option(
        "broker_transport_options",
        MAP,
        {},
        "Options of the broker's kind: [of Redis](../redis.md), [of RabbitMQ](../amqp.md), or `synchronous` and "
        "`publish_timeout` of SQLite.",
    ),
    Option(
        "broker_publish_timeout",
        NUMBER,
        2.0,
        "A call that cannot hand its task over within this time raises OperationalError.",
        unit="s",
        ours=True,
    ),
    Option(
        "broker_connection_timeout",
        NUMBER,
        4.0,
        "The longest that connecting to a server may take, within `broker_publish_timeout`; None: no limit of its own.",
        unit="s",
        nullable=True,
    ),
    Option("broker_connection_retry", FLAG, True, "Connect again after a connection was lost.", acts=False),
    Option(
        "broker_connection_retry_on_startup",
        FLAG,
        None,
        "Go on trying when the first connection fails; None: as `broker_connection_retry`.",
        acts=False,
    ),
    Option(
        "broker_connection_max_retries",
        INTEGER,
        100,
        "Tries to connect before giving up; 0 and None: without end.",
        nullable=True,
        acts=False,
    ),
    Option("broker_channel_error_retry", FLAG, False, "Treat errors of a channel as lost connections.", acts=False),
    Option(
        "broker_failover_strategy",
        OBJECT,
        None,
        "Order in which several RabbitMQ servers are tried: `round-robin` or `shuffle`.",
    ),
    Option(
        "broker_heartbeat",
        NUMBER,
        120.0,
        "Silence after which a worker's connection to RabbitMQ is broken; unless set, 20 s. 0 and None: never.",
        unit="s",
        nullable=True,
    ),
    Option(
        "broker_heartbeat_checkrate",
        NUMBER,
        3.0,
        "How often a heartbeat is looked for within its interval.",
        unit="per interval",
        acts=False,
    ),
    Option("broker_login_method", TEXT, None, "SASL method of AMQP: PLAIN, AMQPLAIN or EXTERNAL; None: PLAIN."),
    Option(
        "broker_native_delayed_delivery_queue_type",
        TEXT,
        "quorum",
        "Type of RabbitMQ's queues for delayed tasks: `quorum` or `classic`.",
    ),
    Option(
        "broker_pool_limit",
        INTEGER,
        10,
        "Connections to a server that a process keeps open for calling tasks; 0 and None: a new one for each call.",
        unit="connections",
        nullable=True,
    ),
    Option(
        "broker_pool_acquire_timeout",
        NUMBER,
        None,
        "The longest wait for a free connection; None: without limit.",
        unit="s",
        acts=False,
    ),
    Option(
        "broker_use_ssl",
        FLAG_OR_MAP,
        False,
        "Connect with TLS: True, or a map of [its options](../redis.md).",
    ),
    Option("broker_host", TEXT, None, "Legacy: write `broker_url`.", acts=False),
    Option("broker_port", INTEGER, None, "Legacy: write `broker_url`.", acts=False),
    Option("broker_user", TEXT, None, "Legacy: write `broker_url`.", acts=False),
    Option("broker_password", TEXT, None, "Legacy: write `broker_url`.", secret=True, acts=False),
    Option("broker_vhost", TEXT, None, "Legacy: write `broker_url`.", acts=False),
)
