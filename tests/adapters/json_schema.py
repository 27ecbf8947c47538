"""JSON Schema 2020-12, as far as our OpenAPI document uses it; a keyword it does not know is an error, not a yes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}
ANNOTATIONS = frozenset({"description", "examples", "contentMediaType"})
KEYWORDS = frozenset(
    {
        *("$ref", "type", "properties", "required", "additionalProperties", "items", "enum", "const"),
        *("pattern", "minimum", "maxLength"),
    }
)


def check(value: Any, schema: Mapping[str, Any], document: Mapping[str, Any], at: str = "$") -> None:
    """Raise `AssertionError`, naming the place, where the value is not what the schema says."""
    unknown = set(schema) - KEYWORDS - ANNOTATIONS
    assert not unknown, f"{at}: no such keyword {sorted(unknown)}"
    if "$ref" in schema:
        check(value, resolved(schema["$ref"], document), document, at)
    if "type" in schema:
        names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        assert any(_is(value, name) for name in names), f"{at}: {value!r} is no {names}"
    assert "enum" not in schema or value in schema["enum"], f"{at}: {value!r}"
    assert "const" not in schema or value == schema["const"], f"{at}: {value!r}"
    if isinstance(value, str):
        assert "pattern" not in schema or re.search(schema["pattern"], value), f"{at}: {value!r}"
        assert len(value) <= schema.get("maxLength", len(value)), at
    if isinstance(value, int):
        assert value >= schema.get("minimum", value), at
    if isinstance(value, list) and "items" in schema:
        for number, entry in enumerate(value):
            check(entry, schema["items"], document, f"{at}[{number}]")
    if isinstance(value, dict):
        _check_object(value, schema, document, at)


def _check_object(value: Mapping[str, Any], schema: Mapping[str, Any], document: Mapping[str, Any], at: str) -> None:
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    missing = set(schema.get("required", ())) - set(value)
    assert not missing, f"{at}: {sorted(missing)} missing"
    for name, member in value.items():
        if name in known:
            check(member, known[name], document, f"{at}.{name}")
        elif others is False:
            raise AssertionError(f"{at}: {name} is not described")
        elif isinstance(others, dict):
            check(member, others, document, f"{at}.{name}")


def resolved(reference: str, document: Mapping[str, Any]) -> Any:
    """Return what a reference inside the document points to."""
    found: Any = document
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def _is(value: Any, name: str) -> bool:
    # JSON's true is no number.
    return isinstance(value, TYPES[name]) and not (name == "integer" and isinstance(value, bool))
