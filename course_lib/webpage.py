"""A page of HTML in one file, which asks no other file and no other host for anything."""

# Colours of both themes, and what a text of words, code and headings looks like in them. A page
# that uses it adds its own rules, and may give the variables further ones.
STYLE = """
:root { --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --back: #ffffff; --tint: #f3f5f8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aa5b1; --line: #3a424c;
  --back: #0f141a; --tint: #171d25; } }
* { box-sizing: border-box; }
html { color-scheme: light dark; }
body { margin: 0 auto; padding: 1rem; max-width: 54rem; color: var(--ink); background: var(--back);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.2; }
code, pre { font: .9rem/1.4 ui-monospace, monospace; background: var(--tint); }
code { padding: 0 .2rem; }
pre { padding: .7rem; overflow-x: auto; }
"""


def whole(title: str, style: str, body: str) -> str:
    """The page: ``body`` as its main part. title, body: HTML; style: CSS."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n"
        f"{body.rstrip()}\n</main>\n</body>\n</html>\n"
    )
