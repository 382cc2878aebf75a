"""What all tests share."""

pytest_plugins = ["tests.postgres", "tests.services", "tests.tracing"]
