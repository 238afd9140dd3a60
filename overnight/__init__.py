"""ASK: the clients' side of Overnight, and the package that a wheel shows."""
