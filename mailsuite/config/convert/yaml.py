"""YAML, without what makes it dangerous: no tags of programming languages, no aliases, no endless nesting."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mailsuite.config.convert.entries import DEPTH_MAX, BrokenFileError, Entry, at_line

if TYPE_CHECKING:
    import yaml


def read(text: str) -> Sequence[Entry]:
    """
    Read all keys; a list of plain values is one value.

    Raises:
        BrokenFileError: it is no YAML, says something twice, or uses what is refused.
    """
    import yaml

    try:
        loader = yaml.SafeLoader(text)
        _check_events(text)
        node = loader.get_single_node()
        return [] if node is None else list(_flatten(loader, "", node))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = error.problem or "it cannot be understood"
        raise _at(mark, reason) from None
    except yaml.YAMLError:
        raise BrokenFileError("it holds characters that YAML does not allow") from None


def _at(mark: "yaml.Mark | yaml._yaml.Mark | None", reason: str) -> BrokenFileError:
    return BrokenFileError(reason) if mark is None else at_line(mark.line + 1, reason)


def _check_events(text: str) -> None:
    """Refuse tags, aliases, which can make a small file huge, and nesting that no configuration needs."""
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise _at(event.start_mark, "aliases are not taken; write the value out")
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
            raise _at(event.start_mark, "tags are not taken")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEPTH_MAX:
            raise _at(event.start_mark, "nested too deeply")


def _flatten(loader: "yaml.SafeLoader", path: str, node: "yaml.Node") -> Iterator[Entry]:
    import yaml

    if isinstance(node, yaml.MappingNode):
        seen = set()
        for name, value in node.value:
            line = name.start_mark.line + 1
            if not isinstance(name, yaml.ScalarNode):
                raise at_line(line, "a key must be a word")
            if name.value in seen:
                raise at_line(line, f"{name.value} is there twice")
            seen.add(name.value)
            yield from _flatten(loader, f"{path}.{name.value}" if path else name.value, value)
    elif isinstance(node, yaml.SequenceNode) and not all(isinstance(item, yaml.ScalarNode) for item in node.value):
        for number, item in enumerate(node.value):
            yield from _flatten(loader, f"{path}[{number}]", item)
    else:
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        values = [_scalar(loader, item) for item in items]
        yield Entry(path, values if isinstance(node, yaml.SequenceNode) else values[0], node.start_mark.line + 1)


def _scalar(loader: "yaml.SafeLoader", node: "yaml.Node") -> object:
    try:
        return loader.construct_object(node)
    except ValueError:  # such as a date that there is not
        raise at_line(node.start_mark.line + 1, "the value cannot be read; put it in quotes") from None
