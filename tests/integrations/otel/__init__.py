"""The OpenTelemetry observer with the SDK of OpenTelemetry."""
