"""How fast and how large the product is, each figure beside a baseline taken in the same run: `python -m benchmarks`."""
