"""The whole way: a program, the Collector, Jaeger and Prometheus, all of them real."""
