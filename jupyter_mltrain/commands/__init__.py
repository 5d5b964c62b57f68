"""The verbs and their option grammar, once, for magics and terminal."""
