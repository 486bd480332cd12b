"""The source of a class as a module of its own: found by the lines that its functions name, proven by running it.

What cannot be written down (a global that is no constant, a variable of an enclosing function, a class without source)
is said by name. The module is executed once, and what it makes must have the same code as the class it was taken from.
"""

import __future__

import ast
import builtins
import linecache
import sys
import textwrap
from collections.abc import Mapping
from dis import Instruction, get_instructions, hasjabs, hasjrel
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from pydantic import BaseModel

_CONSTANTS = (int, float, str, bytes, bool, complex, type(None), tuple, list, dict, set, frozenset)
_SAME_STEPS = {"LOAD_METHOD": "LOAD_ATTR"}
_JUMPS = {*hasjrel, *hasjabs}


class SourceNotFound(Exception):
    """A class cannot be written down as a module; the text says why."""


def module_source(cls: type) -> tuple[str, set[str]]:
    """Return the source of a module that makes the class again, and the names of the modules that it imports.

    Raises:
        SourceNotFound: there is no such module.
    """
    writer = _Writer(cls)
    text = writer.text()
    _prove(writer.defined, text)
    return text, writer.imported


class _Writer:
    """Collects what a class needs, what is needed first standing first."""

    def __init__(self, cls: type) -> None:
        self._cls = cls
        self._globals = _globals_of(cls)
        self._imports: list[str] = []
        self._parts: dict[str, str] = {}
        self._open: set[str] = set()
        self.imported: set[str] = set()
        self.defined: dict[str, type | FunctionType] = {}

    def text(self) -> str:
        """Return the module."""
        self._define(self._cls.__name__, self._cls)
        later = any(f.__code__.co_flags & __future__.annotations.compiler_flag for f in _functions_of(self._cls))
        imports = [*(["from __future__ import annotations\n"] if later else []), *sorted(set(self._imports))]
        return "\n\n\n".join(filter(None, ["\n".join(imports), *self._parts.values()])) + "\n"

    def _define(self, name: str, value: type | FunctionType) -> None:
        """Write a class or a function, behind all that it names."""
        if name in self._parts or name in self._open:
            return
        self._open.add(name)
        node, source = _node_of(value)
        for used in _names_in(node):
            if used != name and used in self._globals:
                self._need(used, self._globals[used])
        self._parts[name], self.defined[name] = source, value

    def _need(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType):
            self._import(value.__name__, f"import {value.__name__}" + (f" as {name}" if value.__name__ != name else ""))
            return
        home = getattr(value, "__module__", None)
        if isinstance(value, type | FunctionType) and home == self._cls.__module__:
            if value.__name__ != name:
                raise SourceNotFound(f"it uses {name}, which is another name of {value.__name__}")
            self._define(name, value)
        elif isinstance(home, str) and (own := _name_in(home, name, value)):
            self._import(home, f"from {home} import {own}" + (f" as {name}" if own != name else ""))
        elif isinstance(value, _CONSTANTS) and _is_literal(value):
            self._parts[name] = f"{name} = {value!r}"
        else:
            raise SourceNotFound(f"it uses {name}, a {type(value).__name__} that was made elsewhere in the notebook")

    def _import(self, module: str, line: str) -> None:
        self._imports.append(line)
        self.imported.add(module)


def _globals_of(cls: type) -> Mapping[str, Any]:
    for function in _functions_of(cls):
        return function.__globals__
    return vars(sys.modules.get(cls.__module__) or ModuleType("nothing"))


def _name_in(home: str, name: str, value: object) -> str:
    """Return the name under which a module has a value, empty when it has not."""
    module = sys.modules.get(home)
    for own in (getattr(value, "__name__", name), name):
        if isinstance(own, str) and module is not None and home != "__main__" and getattr(module, own, None) is value:
            return own
    return ""


def _is_literal(value: Any) -> bool:
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError):
        return False


def _functions_of(cls: type) -> list[FunctionType]:
    """Return the functions that a class's own body defines."""
    found = []
    for value in vars(cls).values():
        inner = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if isinstance(inner, FunctionType) and inner.__module__ == cls.__module__ and inner.__code__.co_filename:
            found.append(inner)
    return found


def _node_of(value: type | FunctionType) -> tuple[ast.AST, str]:
    """Return the syntax tree and the source of the newest definition of a class or function that is its own."""
    functions = [value] if isinstance(value, FunctionType) else _functions_of(value)
    for function in functions:
        if set(function.__code__.co_freevars) - {"__class__"}:
            raise SourceNotFound(f"{value.__name__} uses variables of the function in which it is defined")
    known = [f.__code__.co_filename for f in functions]
    files = known or [*_main_file(), *(name for name in reversed(linecache.cache) if not Path(name).exists())]
    first = min((f.__code__.co_firstlineno for f in functions), default=0)
    for file in dict.fromkeys(files):
        lines = linecache.getlines(file)
        try:
            tree = ast.parse("".join(lines))
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.ClassDef | ast.FunctionDef) or node.name != value.__name__:
                continue
            begin = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            end = node.end_lineno or begin
            if first and not begin <= first <= end:
                continue
            return node, textwrap.dedent("".join(lines[begin - 1 : end])).rstrip()
    raise SourceNotFound(f"the source of {value.__name__} is not there")


def _main_file() -> list[str]:
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return [file] if file else []


def _names_in(node: ast.AST) -> list[str]:
    """Return the names that code reads, in order, apart from those that it only binds itself."""
    read = [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
    bound = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    bound |= {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)}
    return [name for name in dict.fromkeys(read) if name not in bound and not hasattr(builtins, name)]


def _prove(defined: Mapping[str, type | FunctionType], text: str) -> None:
    """Execute the module and compare what it makes with what it was made from."""
    module = ModuleType("written_strategy_on_trial")
    sys.modules[module.__name__] = module
    try:
        exec(compile(text, f"<{module.__name__}>", "exec", dont_inherit=True), vars(module))
        changed = [name for name, value in defined.items() if _shape(vars(module)[name]) != _shape(value)]
    except Exception as error:
        raise SourceNotFound(f"its source does not stand alone ({type(error).__name__}: {error})") from error
    finally:
        del sys.modules[module.__name__]
    if changed:
        raise SourceNotFound(f"{changed[0]} was changed after it was defined")


def _shape(value: Any) -> Any:
    """Return what two classes or functions of the same source have in common: code, constants, parameters."""
    if isinstance(value, FunctionType):
        return _code_shape(value.__code__), value.__defaults__, value.__kwdefaults__
    functions = {f.__name__: _shape(f) for f in _functions_of(value)}
    own = {name: v for name, v in vars(value).items() if not name.startswith("_") and isinstance(v, _CONSTANTS)}
    return functions, repr(own), repr(value.model_json_schema()) if issubclass(value, BaseModel) else ""


def _code_shape(code: CodeType) -> Any:
    """Return what code does, step by step, however it was compiled: a method of a module that is imported in the same
    cell is called by other steps than one of another cell.
    """
    inner = [_code_shape(const) for const in code.co_consts if isinstance(const, CodeType)]
    return [_step(one) for one in get_instructions(code) if one.opname != "PUSH_NULL"], inner, code.co_varnames


def _step(one: Instruction) -> tuple[str, str]:
    name = _SAME_STEPS.get(one.opname, one.opname)
    if isinstance(one.argval, CodeType) or one.opcode in _JUMPS:
        return name, ""
    return name, one.argrepr.replace("NULL|self + ", "").replace("NULL + ", "").replace(" + NULL", "")
