"""Pure rules: geometry, calibration, routing, the vote on background. No clocks, no sockets, no models."""
