"""A page of the guide as one HTML file: no request to anywhere, pictures and formulas in it.

The Markdown is read by mistune, which JupyterLab brings (nbconvert needs it).
"""

import base64
import html
import re
from collections.abc import Mapping

import mistune

from .. import webpage
from .mathml import mathml

STYLE = f"""{webpage.STYLE}
:root {{ --link: #0550ae; }}
@media (prefers-color-scheme: dark) {{ :root {{ --link: #79b8ff; }} }}
h2 {{ margin: 2.2rem 0 .4rem; padding-top: .6rem; border-top: 1px solid var(--line); }}
h3 {{ margin: 1.6rem 0 .3rem; }}
a {{ color: var(--link); }}
pre code {{ padding: 0; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; }}
th, td {{ padding: .2rem .7rem; border-bottom: 1px solid var(--line); text-align: left; }}
th {{ white-space: nowrap; }}
img {{ max-width: 100%; height: auto; padding: .4rem; background: #ffffff; }}
blockquote {{ margin: .4rem 0; padding: 0 .8rem; border-left: 4px solid var(--line); }}
"""


class Renderer(mistune.HTMLRenderer):
    """Markdown as the guide writes it. pictures: address in the Markdown -> the PNG or JPEG.

    HTML in a text is shown, and not obeyed.
    """

    def __init__(self, pictures: Mapping[str, bytes]):
        super().__init__(escape=True)
        self.pictures = pictures

    def heading(self, text: str, level: int, **attributes) -> str:
        return f'<h{level} id="{anchor(text)}">{text}</h{level}>\n'

    def block_code(self, code: str, info: str | None = None) -> str:
        return f'<pre tabindex="0"><code>{html.escape(code.rstrip())}</code></pre>\n'

    def image(self, text: str, url: str, title: str | None = None) -> str:
        data = base64.b64encode(self.pictures[url]).decode("ascii")
        words = html.escape(html.unescape(text), quote=True)
        kind = "jpeg" if url.endswith(".jpg") else "png"
        return f'<img alt="{words}" src="data:image/{kind};base64,{data}">'

    def link(self, text: str, url: str, title: str | None = None) -> str:
        if url.endswith(".md") and "/" not in url:  # another page of the guide
            url = f"{url[:-3]}.html"
        return super().link(text, url, title)

    def inline_math(self, text: str) -> str:
        return mathml(html.unescape(text))

    def block_math(self, text: str) -> str:
        return f'<div class="wide" tabindex="0">{mathml(html.unescape(text), block=True)}</div>\n'


def anchor(text: str) -> str:
    """The id of a heading, out of its words."""
    words = re.sub(r"<[^>]*>", "", html.unescape(text)).casefold()
    return re.sub(r"[^\w]+", "-", words).strip("-")


def page(title: str, markdown: str, pictures: Mapping[str, bytes]) -> str:
    """``markdown`` as a whole page. Raises ValueError for a formula that is not understood."""
    renderer = Renderer(pictures)
    render = mistune.create_markdown(renderer=renderer, plugins=["table", "math"])
    body = re.sub(r"<table>.*?</table>", _boxed, render(markdown), flags=re.S)
    return webpage.whole(html.escape(title), STYLE, body)


def _boxed(table: re.Match) -> str:
    """A table that scrolls in a box of its own, where it is wider than the window."""
    return f'<div class="wide" role="region" aria-label="Table" tabindex="0">\n{table[0]}\n</div>'
