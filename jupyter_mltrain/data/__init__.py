"""Datasets: references, versions, fetch, checksum."""
