"""From pairs of labels to the verdict: a long table, its aggregates with intervals, and paired comparison."""
