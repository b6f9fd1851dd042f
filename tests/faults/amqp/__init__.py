"""Faults of a RabbitMQ broker, and of the way to it."""
