"""The boundary to AWS: sessions, errors, retries, roles, rate limits, and secrets."""
