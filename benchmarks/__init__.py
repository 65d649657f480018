"""What telemetry costs, measured: `make bench`; README.md tells how to read the results."""
