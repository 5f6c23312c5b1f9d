"""Dataclasses whose functions are made when they are first needed.

The standard library's decorator compiles six functions for each class, most of them never called,
and imports `inspect`: half a millisecond a class, a third of what `status` took. What comes out is
the same, and `dataclasses` itself knows it. Left out is what nobody here asks for: `InitVar`,
fields by keyword alone, fields that don't count in a comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter, eq, le, lt
from typing import TYPE_CHECKING, Any, NoReturn

__all__ = ["asdict", "dataclass", "field", "fields", "is_dataclass", "replace"]

_NONE: Any = object()
_FIELDS = "__branchflow_fields__"


class _Field:
    """What a class says of one field."""

    __slots__ = ("default", "factory", "is_shown")

    def __init__(self, default: object, factory: object, *, is_shown: bool) -> None:
        self.default = default
        self.factory = factory
        self.is_shown = is_shown


def _dataclass(
    kind: Any = None, /, *, frozen: bool = False, slots: bool = False, order: bool = False
) -> Any:
    if kind is None:
        return lambda cls: _dataclass(cls, frozen=frozen, slots=slots, order=order)
    own = _own_fields(kind)
    known: dict[str, _Field] = {}
    for base in kind.__mro__[:0:-1]:
        known |= vars(base).get(_FIELDS, {})
    every = known | own
    added: dict[str, Any] = {
        _FIELDS: every,
        "__dataclass_fields__": _StandardFields(),
        "__match_args__": tuple(every),
        "__init__": _init_when_called(frozen=frozen),
        "__repr__": _repr,
        **_comparisons(tuple(every), frozen=frozen, order=order),
        **({"__setattr__": _refuse, "__delattr__": _refuse} if frozen else {}),
    }
    if slots:
        new = tuple(name for name in own if name not in known)
        return _with_slots(kind, {**added, **_PICKLED}, every, new)
    for name, value in added.items():
        if name not in vars(kind):
            setattr(kind, name, value)
    for name in own:
        if isinstance(vars(kind).get(name), _Field):
            delattr(kind, name)
    return kind


def _field(*, default: object = _NONE, default_factory: object = _NONE, repr: bool = True) -> Any:  # noqa: A002  the standard library's own name
    return _Field(default, default_factory, is_shown=repr)


def _replace(value: Any, /, **changes: Any) -> Any:
    kind = type(value)
    return kind(**{name: getattr(value, name) for name in getattr(kind, _FIELDS)} | changes)


def _asdict(value: Any) -> dict[str, Any]:
    import dataclasses

    return dataclasses.asdict(value)


def _all_fields(kind: Any) -> Any:
    import dataclasses

    return dataclasses.fields(kind)


def _is_dataclass(value: object) -> bool:
    return hasattr(value, "__dataclass_fields__")


if TYPE_CHECKING:
    from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
else:
    asdict, dataclass, field, fields, is_dataclass, replace = (
        _asdict, _dataclass, _field, _all_fields, _is_dataclass, _replace
    )  # fmt: skip


class _StandardFields:
    """What `dataclasses` has to know of a class, made when it asks."""

    def __get__(self, value: object, kind: Any) -> Mapping[str, Any]:
        import dataclasses

        hints = {n: hint for base in kind.__mro__[::-1] for n, hint in _hints(base).items()}
        made = dataclasses.make_dataclass(
            kind.__name__,
            [
                (name, hints[name], dataclasses.field(**_options(own)))
                for name, own in getattr(kind, _FIELDS).items()
            ],
        )
        found: Mapping[str, Any] = vars(made)["__dataclass_fields__"]
        kind.__dataclass_fields__ = found
        return found


def _options(own: _Field) -> dict[str, Any]:
    given = {"default": own.default, "default_factory": own.factory, "repr": own.is_shown}
    return {name: value for name, value in given.items() if value is not _NONE}


def _hints(kind: type) -> Mapping[str, Any]:
    hints: Mapping[str, Any] = vars(kind).get("__annotations__", {})
    return hints


def _own_fields(kind: type) -> dict[str, _Field]:
    said = ((name, vars(kind).get(name, _NONE)) for name in _hints(kind))
    return {
        name: default if isinstance(default, _Field) else _Field(default, _NONE, is_shown=True)
        for name, default in said
    }


def _with_slots(
    kind: Any, added: Mapping[str, Any], every: Iterable[str], own: Sequence[str]
) -> Any:
    left_out = {*every, "__dict__", "__weakref__"}
    said = {name: value for name, value in vars(kind).items() if name not in left_out}
    made = type(kind)(kind.__name__, kind.__bases__, {**added, **said, "__slots__": own})
    made.__qualname__ = kind.__qualname__
    return made


def _comparisons(names: Sequence[str], *, frozen: bool, order: bool) -> dict[str, Any]:
    key = _key(names)

    def compared(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
        def method(one: Any, other: Any) -> bool:
            is_same = other.__class__ is one.__class__
            return compare(key(one), key(other)) if is_same else NotImplemented

        return method

    # Python turns `a > b` round to `b < a` itself.
    ordered = {"__lt__": compared(lt), "__le__": compared(le)} if order else {}
    return {"__eq__": compared(eq), "__hash__": _hashed(key) if frozen else None, **ordered}


def _key(names: Sequence[str]) -> Callable[[Any], Any]:
    return attrgetter(*names) if names else lambda _: ()


def _hashed(key: Callable[[Any], Any]) -> Callable[[Any], int]:
    return lambda value: hash(key(value))


def _init_when_called(*, frozen: bool) -> Callable[..., None]:
    def first(self: Any, *args: Any, **options: Any) -> None:
        kind: Any = next(base for base in type(self).__mro__ if vars(base).get("__init__") is first)
        kind.__init__ = _init(kind, frozen=frozen)
        kind.__init__(self, *args, **options)

    return first


def _init(kind: type, *, frozen: bool) -> Any:
    known: dict[str, Any] = {"_none": _NONE, "_set": object.__setattr__}
    arguments, lines = ["self"], []
    for name, own in getattr(kind, _FIELDS).items():
        value = name
        if own.factory is not _NONE:
            known[f"_new_{name}"] = own.factory
            arguments.append(f"{name}=_none")
            value = f"_new_{name}() if {name} is _none else {name}"
        elif own.default is not _NONE:
            known[f"_default_{name}"] = own.default
            arguments.append(f"{name}=_default_{name}")
        else:
            arguments.append(name)
        lines.append(f"_set(self, '{name}', {value})" if frozen else f"self.{name} = {value}")
    if hasattr(kind, "__post_init__"):
        lines.append("self.__post_init__()")
    text = f"def __init__({', '.join(arguments)}):\n " + "\n ".join(lines or ["pass"])
    exec(text, known)  # noqa: S102  of names in our own classes
    made = known["__init__"]
    made.__qualname__ = f"{kind.__qualname__}.__init__"
    return made


def _repr(value: Any) -> str:
    every = getattr(value, _FIELDS).items()
    shown = [f"{name}={getattr(value, name)!r}" for name, own in every if own.is_shown]
    return f"{type(value).__qualname__}({', '.join(shown)})"


def _refuse(_: object, name: str, __: object = None) -> NoReturn:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot change field {name!r}")


def _state(value: Any) -> list[Any]:
    return [getattr(value, name) for name in getattr(value, _FIELDS)]


def _restore(value: Any, state: Iterable[Any]) -> None:
    for name, held in zip(getattr(value, _FIELDS), state, strict=True):
        object.__setattr__(value, name, held)


_PICKLED = {"__getstate__": _state, "__setstate__": _restore}
