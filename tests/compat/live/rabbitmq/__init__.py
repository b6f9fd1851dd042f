"""The same on RabbitMQ: what holds on every broker is taken over from the tests on Redis."""
