"""Pages of one file that need no network: HTML and SVG as text, everything shown is escaped."""
