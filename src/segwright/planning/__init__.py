"""From data to decisions: inspection, fingerprint, rules, plan and splits; no torch."""
