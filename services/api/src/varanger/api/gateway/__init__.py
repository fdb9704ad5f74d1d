"""The REST gateway: `varanger.api.gateway.app.create_app`."""
