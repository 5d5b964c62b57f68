"""A notebook as one self-contained HTML file."""
