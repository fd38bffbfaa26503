"""HTML pages that stand alone, and the SVG that is drawn on them."""
