"""Tables in CSV, Markdown, LaTeX and HTML; pure functions of their input, so no dates. No torch."""

from dmp.extras import needs

needs("bench", "jinja2", "matplotlib", "pandas")
