"""What a monitor branch holds, and when it gives an alarm: rows, windows, alerts, settings."""
