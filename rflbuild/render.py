"""Jinja2 templates; only files named `.j2` are rendered."""

from __future__ import annotations

from pathlib import Path


def render(template: Path, **variables: object) -> str:
    """The text of a template with its variables; a missing variable is an error."""
    import jinja2

    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - shell and Markdown, not HTML
    )
    return environment.from_string(template.read_text()).render(**variables)
