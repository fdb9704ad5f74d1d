"""The four services the tests need, on this machine: RabbitMQ, PostgreSQL, an S3 object store, Triton."""
