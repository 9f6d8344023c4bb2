"""Lets the reference show our docstrings' `Example:` as code: griffe knows it as `Examples:`."""

import re
from typing import Any

from griffe import Extension, Object

_HEADING = re.compile(r"^(\s*)Example:$", re.MULTILINE)


class DocstringExamples(Extension):
    """Renames the heading of every docstring as it is read."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Rename the heading in one docstring."""
        if obj.docstring:
            obj.docstring.value = _HEADING.sub(r"\1Examples:", obj.docstring.value)
