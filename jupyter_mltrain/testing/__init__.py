"""Contract suites and fakes that a plug-in author can import."""
