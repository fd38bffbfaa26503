"""Reads the structure of a pickle without unpickling it: nothing is imported, called or built by name.

`torch.save` stores which tensors a file holds as a pickle. This interpreter knows the instructions that put
lists, dictionaries, text and numbers together. What a pickle would import stays a `Global`, and what it would
call stays a `Call`; the caller decides what either of them means. Time and memory are proportional to the
bytes read, which the caller limits. Keys of dictionaries are plain values, so that none takes long to hash.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass
from io import BytesIO
from typing import Any

MAX_BYTES = 2**24
"""Longest pickle that is read (16 MiB): room for a million labels."""


@dataclass(frozen=True)
class Global:
    """What a pickle would import.

    Attributes:
        name: such as "torch._utils._rebuild_tensor_v2".
    """

    name: str


@dataclass(eq=False)
class Call:
    """What a pickle would make by a call.

    Attributes:
        function: what it would call.
        arguments: with what.
    """

    function: Any
    arguments: Any


@dataclass(frozen=True)
class Persistent:
    """A reference to something outside of the pickle.

    Attributes:
        about: what the pickle says of it.
    """

    about: Any


class _Mark:
    pass


def read_plain_pickle(stream: BytesIO) -> Any:
    """Read one pickle from the position of a stream, which is then at its end.

    Raises:
        ValueError: damaged, or more than numbers, text, lists, tuples, dictionaries and calls.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name == "STOP":
                (result,) = stack
                return result
            _step(opcode.name, argument, stack, memo)
    except (IndexError, KeyError, TypeError, AttributeError, OverflowError, StopIteration) as error:
        raise ValueError("a damaged pickle") from error
    raise ValueError("a pickle without an end")


def _step(name: str, argument: Any, stack: list[Any], memo: dict[int, Any]) -> None:
    match name:
        case "PROTO" | "FRAME":
            pass
        case "MARK":
            stack.append(_Mark)
        case "POP":
            stack.pop()
        case "POP_MARK":
            _marked(stack)
        case "DUP":
            stack.append(stack[-1])
        case "NONE":
            stack.append(None)
        case "NEWTRUE" | "NEWFALSE":
            stack.append(name == "NEWTRUE")
        case "GLOBAL":
            stack.append(Global(argument.replace(" ", ".", 1)))
        case "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(Global(f"{_text(module)}.{_text(attribute)}"))
        case "PUT" | "BINPUT" | "LONG_BINPUT":
            memo[int(argument)] = stack[-1]
        case "MEMOIZE":
            memo[len(memo)] = stack[-1]
        case "GET" | "BINGET" | "LONG_BINGET":
            stack.append(memo[int(argument)])
        case "EMPTY_TUPLE":
            stack.append(())
        case "TUPLE1" | "TUPLE2" | "TUPLE3":
            stack.append(tuple(reversed([stack.pop() for _ in range(int(name[-1]))])))
        case "TUPLE":
            stack.append(tuple(_marked(stack)))
        case "EMPTY_LIST":
            stack.append([])
        case "LIST":
            stack.append(_marked(stack))
        case "APPEND":
            item = stack.pop()
            _list(stack[-1]).append(item)
        case "APPENDS":
            items = _marked(stack)
            _list(stack[-1]).extend(items)
        case "EMPTY_DICT":
            stack.append({})
        case "DICT":
            stack.append(_pairs(_marked(stack)))
        case "SETITEM":
            value, key = stack.pop(), stack.pop()
            _dict(stack[-1]).update(_pairs([key, value]))
        case "SETITEMS":
            pairs = _pairs(_marked(stack))
            _dict(stack[-1]).update(pairs)
        case "REDUCE" | "NEWOBJ":
            arguments, function = stack.pop(), stack.pop()
            is_dict = function == Global("collections.OrderedDict") and arguments == ()
            stack.append({} if is_dict else Call(function, arguments))
        case "BUILD":
            stack.pop()  # attributes of what lies below
        case "BINPERSID":
            stack.append(Persistent(stack.pop()))
        case _ if name in _VALUES:
            stack.append(argument)
        case _:
            raise ValueError(f"a pickle with the instruction {name}")


_VALUES = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
        *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    )
)
"""Instructions that put their argument on the stack."""


def _marked(stack: list[Any]) -> list[Any]:
    """Take everything above the last mark."""
    at = len(stack) - 1
    while stack[at] is not _Mark:
        at -= 1
        if at < 0:
            raise ValueError("a damaged pickle")
    items = stack[at + 1 :]
    del stack[at:]
    return items


def _pairs(items: list[Any]) -> dict[Any, Any]:
    keys, values = items[::2], items[1::2]
    if any(not isinstance(key, str | int | float | bytes | None) for key in keys):
        raise ValueError("a dictionary with keys that are not plain values")
    return dict(zip(keys, values, strict=True))


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("a damaged pickle")
    return value


def _dict(value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise ValueError("a damaged pickle")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a damaged pickle")
    return value
