"""The path of a message over RabbitMQ: a real worker, and an app that calls it."""
