"""From an environment's definition to an interpreter: resolved once, built once per key."""
