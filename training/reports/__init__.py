"""What pages tell of runs: curves, groups, alarms, comparisons, judges."""
