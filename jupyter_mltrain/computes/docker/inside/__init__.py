"""What runs in the containers that make environments."""
