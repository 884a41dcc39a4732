"""Calls that may run what a file holds, or a shell, found in the syntax tree of a program."""

from __future__ import annotations

import ast
from collections.abc import Iterator

_MODULES = {
    *("pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"),
    *("jsonpickle", "pandas.io.pickle", "torch.hub", "code", "codeop", "runpy"),
}
_NEVER = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "pandas.read_pickle"),
    *(
        "yaml.load",
        "yaml.load_all",
        "yaml.unsafe_load",
        "yaml.unsafe_load_all",
        "yaml.full_load",
        "pty.spawn",
    ),
    *("yaml.full_load_all", "torch.jit.load", "torch.package.PackageImporter", "numpy.fromregex"),
    *("blosc2.load", "blosc2.load_array", "blosc2.load_tensor", "blosc2.from_cframe"),
    *("blosc2.unpack", "blosc2.unpack_array", "blosc2.unpack_array2", "blosc2.unpack_tensor"),
    *("shutil.unpack_archive", "tempfile.mktemp"),
}
_ONLY_WITH = {
    "torch.load": ("weights_only", True),
    "numpy.load": ("allow_pickle", False),
    "blosc2.open": ("deserialize", "safe"),
}
_MEMBERS = ("extractall", "extract")  # of archives, whose members may lead out of a folder
_USUAL = {"np": "numpy", "pd": "pandas"}


def offences(source: str) -> Iterator[tuple[int, str]]:
    """The line of each, and what is called there."""
    tree = ast.parse(source)
    names = dict(_USUAL)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for item in node.names:
                top = item.name.partition(".")[0]
                names[item.asname or top] = item.name if item.asname else top
                if _is_in(item.name, _MODULES):
                    yield node.lineno, f"import {item.name}"
        elif isinstance(node, ast.ImportFrom) and node.module:
            for item in node.names:
                names[item.asname or item.name] = f"{node.module}.{item.name}"
                if _is_in(f"{node.module}.{item.name}", _MODULES):
                    yield node.lineno, f"from {node.module} import {item.name}"
    for node in ast.walk(tree):
        # Handed on uncalled, a function is called elsewhere with who knows what.
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            name = _full_name(node, names)
            if name in _NEVER:
                yield node.lineno, name
        if isinstance(node, ast.Call):
            yield from _wrong_call(node, names)


def _wrong_call(call: ast.Call, names: dict[str, str]) -> Iterator[tuple[int, str]]:
    name = _full_name(call.func, names)
    given = {
        word.arg: word.value.value if isinstance(word.value, ast.Constant) else ...
        for word in call.keywords
    }
    if name in _ONLY_WITH:
        word, value = _ONLY_WITH[name]
        if given.get(word) != value:
            yield call.lineno, f"{name} without {word}={value!r}"
    if given.get("shell", False) is not False:
        yield call.lineno, f"{name} with shell"
    if isinstance(call.func, ast.Attribute) and call.func.attr in _MEMBERS:
        yield call.lineno, f".{call.func.attr}"


def _full_name(node: ast.expr, names: dict[str, str]) -> str:
    """`numpy.load` for np.load, "" for what is no name."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{_full_name(node.value, names)}.{node.attr}"
    return ""


def _is_in(name: str, modules: set[str]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)
