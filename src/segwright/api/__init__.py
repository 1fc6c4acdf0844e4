"""The orchestrator: what people call, one module a verb."""
