"""What readers see: HTML pages, the SVG plots on them, terminal tables, and numbers as text."""
