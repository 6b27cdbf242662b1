"""Numbers as people read them, and tables as Markdown, CSV and LaTeX."""
