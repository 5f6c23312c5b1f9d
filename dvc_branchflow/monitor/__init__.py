"""What production saw, beside what it was trained on: logs, labels, checks and alerts."""
