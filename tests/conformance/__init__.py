"""The protocol's own test suites, run against our layers and the real server: ``make conformance``."""
