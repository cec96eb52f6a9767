"""The page for people without GitHub: one HTML file that holds its pictures."""

import base64
import re
from pathlib import Path
from string import Template

from markdown_it import MarkdownIt

from stages import html_page

TYPES = {".png": "image/png", ".jpg": "image/jpeg"}
_SOURCE = re.compile(r'src="([a-z0-9-]+(\.png|\.jpg))"')
# Nothing is fetched or run, should a hostile title ever get through.
_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>What this change does to the model</title>
<style>$style
blockquote { background: #fff3cd; border-left: 4px solid #b78103; margin: 0; padding: .2rem 1rem; }
img { max-width: 100%; } table { display: block; overflow-x: auto;
  margin: .8rem 0; }
</style>
</head>
<body>
$body
</body>
</html>
""")


def write(folder: Path) -> Path:
    """Renders report.md of a folder into report.html beside it."""
    markdown = MarkdownIt("commonmark", {"html": True}).enable("table")
    body = markdown.render((folder / "report.md").read_text(encoding="utf-8"))

    def inlined(found: re.Match[str]) -> str:
        data = base64.b64encode((folder / found[1]).read_bytes()).decode("ascii")
        return f'src="data:{TYPES[found[2]]};base64,{data}"'

    page = folder / "report.html"
    text = _PAGE.substitute(style=html_page.STYLE, body=_SOURCE.sub(inlined, body))
    page.write_text(text, encoding="utf-8")
    return page
