"""Scripts that look at a page in a browser, and the parts of a page."""

import json
import re

EVIL = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
"""A text that would run if a page did not escape it."""
SIZES = {"desktop": 1280, "tablet": 768, "phone": 390}
OVERLAPS = """() => {
  const texts = [];
  for (const svg of document.querySelectorAll("figure svg"))
    texts.push([...svg.querySelectorAll("text")].filter(text => text.textContent.trim() && getComputedStyle(text).opacity > 0));
  texts.push([...document.querySelectorAll("h1, h2, h3, h4, p, dt, dd, figure, table")]);
  const found = [];
  for (const group of texts) {
    const boxes = group.map(each => [each, each.getBoundingClientRect()]).filter(([, box]) => box.width && box.height);
    for (let one = 0; one < boxes.length; one++)
      for (let two = one + 1; two < boxes.length; two++) {
        const [a, b] = [boxes[one][1], boxes[two][1]];
        const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (wide > 1 && high > 2) found.push(`${boxes[one][0].textContent} / ${boxes[two][0].textContent}`.slice(0, 120));
      }
  }
  return found;
}"""
"""Returns the texts of a page and of each chart that overlap."""


def without_library(page: str) -> str:
    """Return a page without the source of the library that draws the charts."""
    start = page.rindex("<script>")
    return page[:start] + page[page.index("</script>", start) :]


def specs(page: str) -> dict:
    """Return the charts of a page by name."""
    return {
        name: json.loads(text)
        for name, text in re.findall(r'id="chart-(\w+)">(.*?)</script>', page, re.DOTALL)
    }
