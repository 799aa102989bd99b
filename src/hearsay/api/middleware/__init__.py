"""ASGI middleware, outermost first: trace, drained body, errors, dialect, authentication."""
