"""The vocabulary every other package speaks; numpy and pydantic only, never torch."""
