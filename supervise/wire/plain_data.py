"""Types that may cross, written out down to their fields: the same text on every side, whatever their annotations look like.

Theory of operation
-------------------
- msgspec says what a type is made of, and so what it would encode and check is what is written. Aliases, `NewType`, `List` and
  `Optional` are gone then. `Sequence[int]` is a list.
- Nothing in a text depends on a module, on the version of Python, or on an order that has no meaning on the wire: the fields of
  a map are sorted, and so are the members of an enum, the values of a `Literal`, and a union. Texts of others are written by
  `ascii`, as which characters are printable is another matter in each version.
- A map is `Order{item: str}`, an array `Point(x: int, y: int)`; `= ...` says that a field may be left out.
- A class is written out where it first stands, and then it is its name. So recursive types end. The second class of a name is
  `Order#2`: else two unlike signatures could have one text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

from msgspec import inspect

from supervise_strategies.errors import InvalidSpec
from supervise_strategies.exception import interrupts
from supervise_strategies.exit_reason import describe
from supervise_strategies.kind import attribute_of_kind, is_of, name_of_kind

PLAIN_DATA: Final = (
    "what crosses is plain data: dataclass, NamedTuple, TypedDict, Enum, Literal, msgspec.Struct, None, bool, int, float, str, "
    "bytes, datetime, date, time, timedelta, UUID, Decimal, list[…], tuple[…], set[…], frozenset[…], dict[…], their unions"
)
_ANYTHING: Final = f"Any, or a container without its parameters (list, not list[int]), takes whatever comes; {PLAIN_DATA}"
_UNHASHABLE: Final = "it has no hash, so it can be in no set, and no key of a dict: use a tuple, or a frozen class"
_NAMES: Final[dict[type[inspect.Type], str]] = {
    inspect.NoneType: "None",
    inspect.BoolType: "bool",
    inspect.IntType: "int",
    inspect.FloatType: "float",
    inspect.StrType: "str",
    inspect.BytesType: "bytes",
    inspect.DateTimeType: "datetime",
    inspect.DateType: "date",
    inspect.TimeType: "time",
    inspect.TimeDeltaType: "timedelta",
    inspect.UUIDType: "UUID",
    inspect.DecimalType: "Decimal",
    inspect.ListType: "list",
    inspect.SetType: "set",
    inspect.FrozenSetType: "frozenset",
    inspect.VarTupleType: "tuple",
    inspect.TupleType: "tuple",
    inspect.DictType: "dict",
}
_REFUSED: Final[dict[type[inspect.Type], type]] = {inspect.ByteArrayType: bytearray, inspect.MemoryViewType: memoryview}
_CONSTRAINTS: Final = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern", "tz")
_Fields = inspect.DataclassType | inspect.StructType | inspect.TypedDictType | inspect.NamedTupleType


def written_out(who: str, hints: Mapping[str, Any]) -> dict[str, str]:
    """The text of each type, by the name of the parameter, or field, whose it is.

    Raises `InvalidSpec` for what can't cross; the field says where it stands: `order.items[].qty`.
    """
    try:
        kinds = inspect.multi_type_info(hints.values())
        writer = _Writer(who)
        return {place: writer.text(kind, place) for place, kind in zip(hints, kinds, strict=True)}
    except InvalidSpec:
        raise
    except BaseException as error:  # what msgspec says of a type that it doesn't take, or what is in somebody's class
        if interrupts(error):
            raise
        for place, hint in hints.items():
            if (found := _culprit(place, hint, [])) is not None:
                place, hint, error = found
                break
        else:
            place, hint = next(iter(hints.items()))
        raise InvalidSpec(who, place, hint, f"{describe(error)}; {PLAIN_DATA}") from error


class _Writer:
    """Writes the types of one signature, and remembers which classes stand in it already."""

    def __init__(self, who: str) -> None:
        self._who = who
        self._known: dict[
            int, tuple[object, str]
        ] = {}  # by id: a class may have no hash; it is kept, so that the id stays its own
        self._taken: dict[str, int] = {}

    def text(self, kind: inspect.Type, place: str) -> str:
        match kind:
            case inspect.Metadata():
                return self.text(kind.type, place)
            case inspect.UnionType() | inspect.LiteralType():
                return self._union(kind, place)
            case inspect.EnumType():
                return self._once(kind.cls, kind.cls, lambda name: f"{name}[{_members(kind)}]")
            case inspect.ListType() | inspect.VarTupleType():
                more = ", ..." if is_of(kind, inspect.VarTupleType) else ""
                return f"{_brief(kind)}[{self.text(kind.item_type, f'{place}[]')}{more}]"
            case inspect.SetType() | inspect.FrozenSetType():
                self._check_hash(kind.item_type, f"{place}[]")
                return f"{_brief(kind)}[{self.text(kind.item_type, f'{place}[]')}]"
            case inspect.TupleType():
                items = [self.text(item, f"{place}[{n}]") for n, item in enumerate(kind.item_types)]
                return f"tuple[{', '.join(items) or '()'}]"
            case inspect.DictType():
                self._check_hash(kind.key_type, f"{place}.keys[]")
                key, value = self.text(kind.key_type, f"{place}.keys[]"), self.text(kind.value_type, f"{place}[]")
                return f"{_brief(kind)}[{key}, {value}]"
            case inspect.DataclassType() | inspect.StructType() | inspect.TypedDictType() | inspect.NamedTupleType():
                return self._once(kind, kind.cls, lambda name: f"{name}{self._fields(kind, place)}")
            case _ if type(kind) in _NAMES:
                return _brief(kind)
            case inspect.AnyType():
                raise InvalidSpec(self._who, place, Any, _ANYTHING)
            case _:
                raise InvalidSpec(self._who, place, getattr(kind, "cls", _REFUSED.get(type(kind), kind)), PLAIN_DATA)

    def _once(self, key: object, cls: Any, write: Callable[[str], str]) -> str:
        """The text of a class; its name alone where it has been written before."""
        known = self._known.get(id(key))
        if known is not None:
            return known[1]
        name = _class_name(cls)
        self._taken[name] = number = self._taken.get(name, 0) + 1
        name = name if number == 1 else f"{name}#{number}"
        self._known[id(key)] = key, name
        return write(name)

    def _fields(self, kind: _Fields, place: str) -> str:
        array = is_of(kind, inspect.NamedTupleType) or (is_of(kind, inspect.StructType) and kind.array_like)
        fields = kind.fields if array else sorted(kind.fields, key=lambda field: field.encode_name)
        parts = [
            f"{_word(each.encode_name)}: {self.text(each.type, f'{place}.{each.name}')}{'' if each.required else ' = ...'}"
            for each in fields
        ]
        if is_of(kind, inspect.StructType) and kind.tag_field is not None:
            parts.insert(0, f"{_word(kind.tag_field)}={kind.tag!a}")
        return f"({', '.join(parts)})" if array else f"{{{', '.join(parts)}}}"

    def _union(self, kind: inspect.Type, place: str) -> str:
        """Sorted by what each is without its fields: these are written where a class first stands, which isn't known before."""
        parts: dict[str, inspect.Type] = {}
        values: list[Any] = []
        for each in _flat(kind):
            if is_of(each, inspect.LiteralType):
                values.extend(each.values)
            else:
                parts.setdefault(_brief(each), each)
        if None in values:
            values = [value for value in values if value is not None]
            parts["None"] = inspect.NoneType()
        texts = [self.text(parts[brief], place) for brief in sorted(parts, key=lambda brief: (brief == "None", brief))]
        return " | ".join([f"Literal[{', '.join(_sorted(values))}]", *texts] if values else texts)

    def _check_hash(self, kind: inspect.Type, place: str) -> None:
        """Without one, every value of it would be refused where it is decoded, and not before."""
        cls: Any = getattr(kind, "cls", None)
        if is_of(kind, inspect.StructType):
            config = kind.cls.__struct_config__
            has_none = config.eq and not config.frozen
        elif cls is not None:
            has_none = attribute_of_kind(_origin(cls), "__hash__") is None
        else:
            has_none = is_of(kind, inspect.ListType, inspect.SetType, inspect.DictType)
        if has_none:
            raise InvalidSpec(self._who, place, _brief(kind) if cls is None else cls, _UNHASHABLE)


def _flat(kind: inspect.Type) -> Iterator[inspect.Type]:
    """The types of a union, and of the unions in it: behind a `NewType`, say."""
    if is_of(kind, inspect.Metadata):
        yield from _flat(kind.type)
    elif is_of(kind, inspect.UnionType):
        for each in kind.types:
            yield from _flat(each)
    else:
        yield kind


def _brief(kind: inspect.Type) -> str:
    """What a type is called, with what is said of its values, but without what is in it."""
    if is_of(kind, inspect.EnumType):
        return f"{_class_name(kind.cls)}[{_members(kind)}]"
    name = _NAMES.get(type(kind))
    if name is None:
        tag = f" {kind.tag!a}" if is_of(kind, inspect.StructType) else ""
        return f"{_class_name(getattr(kind, 'cls', type(kind)))}{tag}"
    said = [(each, getattr(kind, each, None)) for each in _CONSTRAINTS]
    constraints = ", ".join(f"{each}={value!a}" for each, value in said if value is not None)
    return f"{name}({constraints})" if constraints else name


def _members(kind: inspect.EnumType) -> str:
    return ", ".join(_sorted(member.value for member in kind.cls))


def _sorted(values: Iterable[Any]) -> list[str]:
    """Numbers by their size, then texts. What stands there twice stands once."""
    ordered = sorted(values, key=lambda value: (is_of(value, str), value is None, 0 if value is None else value, ascii(value)))
    return list(dict.fromkeys(map(ascii, ordered)))


def _origin(cls: Any) -> Any:
    """The class of `Box[int]`."""
    return cls if is_of(cls, type) else get_origin(cls)


def _class_name(cls: Any) -> str:
    return _word(name_of_kind(_origin(cls)))


def _word(name: str) -> str:
    return name if name.isidentifier() else ascii(name)


def _culprit(place: str, hint: Any, seen: list[Any]) -> tuple[str, Any, BaseException] | None:
    """The innermost type that msgspec doesn't take, where it stands, and why; None if this one is good."""
    try:
        inspect.type_info(hint)
    except BaseException as error:
        if interrupts(error):
            raise
        if any(hint is each for each in seen) or len(seen) > 100:
            return None
        seen.append(hint)
        for further, part in _parts(hint):
            if (found := _culprit(f"{place}{further}", part, seen)) is not None:
                return found
        return place, hint, error
    return None


def _parts(hint: Any) -> Iterator[tuple[str, Any]]:
    if is_of(hint, type) and get_origin(hint) is None:
        try:
            fields = get_type_hints(hint)
        except Exception:  # a name in it isn't known: that is what msgspec has said, too
            return
        yield from ((f".{name}", field) for name, field in fields.items())
    elif get_origin(hint) is Annotated:
        yield "", get_args(hint)[0]
    elif get_origin(hint) is not Literal:
        in_order = get_origin(hint) in (list, set, frozenset, dict, tuple)
        yield from (("[]" if in_order else "", part) for part in get_args(hint) if part is not ... and part != ())
