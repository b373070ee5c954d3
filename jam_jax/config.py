"""Flags, configs and their validation; the only place that knows absl.

A config is a Python file with ``get_config(arg)`` returning a ConfigDict; any key can be overridden on the command
line (``--config.objective.alpha=0.7``). Every command validates its whole config before it imports anything heavy.
"""

import dataclasses
import difflib
import importlib.util
import json
import math
import os
import pathlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

from absl import flags, logging
from ml_collections import ConfigDict, config_flags

from jam_jax.errors import JamError

BAD_INPUT = 2
INTERRUPTED = 75  # sysexits EX_TEMPFAIL: run the same command again and it goes on


@dataclasses.dataclass(frozen=True)
class Field:
    """What one config key may hold: a type, and for it choices, a range, whether None or a tuple is allowed.

    ``many`` fields are tuples of the type; a single value is taken as a tuple of one. ``some``: not empty.
    """

    type: Any
    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    optional: bool = False
    many: bool = False
    some: bool = False


def validate(config: Mapping[str, Any], schema: Mapping[str, Field], where: str = "config") -> dict[str, Any]:
    """Checks a nested config against {'a.b': Field} and returns it as plain nested dicts with tuples and exact types.

    Raises JamError, one line, for an unknown or missing key, a wrong type, an unknown choice or a value out of range.
    """
    flat = _flatten(config)
    for key in flat:
        if key not in schema:
            raise JamError(f"{where}: key '{key}' is unknown{suggest(key, schema)}")
    resolved: dict[str, Any] = {}
    for key, field in schema.items():
        if key not in flat:
            raise JamError(f"{where}: key '{key}' is missing; configs/spread.py shows every key")
        *parents, leaf = key.split(".")
        node = resolved
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = _checked(flat[key], field, f"{where}: {key}")
    return resolved


def suggest(word: str, known: Any) -> str:
    """'; did you mean ...?' for the nearest known word, or the list of what is known."""
    names = [str(name) for name in known]
    close = difflib.get_close_matches(str(word), names, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; choose from {', '.join(names)}" if len(names) <= 12 else ""


def load_file(path: str | os.PathLike[str], arg: str | None = None) -> ConfigDict:
    """The config that a Python config file returns; shipped configs are found from any folder.

    Raises JamError when there is no such file or it has no get_config.
    """
    file = find_file(os.fspath(path))
    spec = importlib.util.spec_from_file_location(f"jam_jax_config_{file.stem}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        if not hasattr(module, "get_config"):
            raise JamError(f"{path}: has no get_config; a config is a Python file with get_config(arg) -> ConfigDict")
        config = module.get_config(arg) if arg is not None else module.get_config()
    except JamError:
        raise
    except (Exception, SystemExit) as error:
        said = _one_line(error)
        raise JamError(f"{path}: the config file does not run ({type(error).__name__}: {said}); correct it") from error
    if not isinstance(config, (Mapping, ConfigDict)):
        raise JamError(f"{path}: get_config gives {type(config).__name__}; let it return a ConfigDict")
    return config


def find_file(path: str) -> pathlib.Path:
    """A config file as named, or else the shipped one of that name inside an installed package."""
    named = pathlib.Path(path)
    if named.is_file():
        return named
    package = pathlib.Path(__file__).parent
    relative = pathlib.Path(*named.parts[1:]) if named.parts[:1] == ("configs",) else named
    for shipped in (package / "configs" / relative, package.parent / "configs" / relative):
        if shipped.is_file():
            return shipped
    shipped_in = (package / "configs", package.parent / "configs")
    names = sorted({f"configs/{file.name}" for root in shipped_in for file in root.glob("*.py")})
    raise JamError(f"{path}: no such config file{suggest(path, names)}")


def run(schema: Mapping[str, Field], command: Callable[[dict[str, Any], str], int | None], workdir: str) -> None:
    """Entry point of a command: parse flags, validate, call ``command(config, workdir)``, exit with its code.

    Bad input ends as one line ``error: ...`` on stderr and exit code 2.
    """
    if os.environ.get("JAM_JAX_TRACEBACK"):
        sys.exit(_run(schema, command, workdir))
    try:
        code = _run(schema, command, workdir)
    except JamError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        # Not sys.exit: an interpreter that ends while threads of native libraries still start is aborted by the C++
        # runtime now and then (Arrow was caught at it), and a second line would follow. Nothing is left to clean up.
        os._exit(BAD_INPUT)
    except KeyboardInterrupt:
        print("interrupted; the same command starts again or goes on", file=sys.stderr)
        code = INTERRUPTED
    sys.exit(code)


def to_json(config: Mapping[str, Any]) -> str:
    """The text of config.json."""
    return json.dumps(config, indent=1, sort_keys=True) + "\n"


def _run(schema: Mapping[str, Field], command: Callable[[dict[str, Any], str], int | None], workdir: str) -> int:
    holder = flags.FlagValues()
    flags.DEFINE_string("workdir", workdir, "Folder of the run: config, checkpoints, results, report.", holder)
    flags.DEFINE_boolean("help", False, "Show how to call this command.", holder, short_name="h")
    argv, path = _with_found_config(sys.argv)
    defined = config_flags.DEFINE_config_file(
        "config", None, "Config file; its keys are overridden by --config.key=value.", flag_values=holder
    )
    try:
        rest = holder(argv)
        if holder.help:
            print(f"usage: python -m jam_jax.{pathlib.Path(argv[0]).stem} --config=FILE [--config.KEY=VALUE ...] "
                  f"[--workdir=FOLDER]\n\nkeys: {', '.join(schema)}")  # fmt: skip
            return 0
        if path is None:
            raise JamError("--config is missing; name a config file, for example --config=configs/spread.py")
        if len(rest) > 1:
            raise JamError(f"argument {rest[1]!r} is unknown; settings are given as --config.key=value")
        config = defined.value
    except JamError:
        raise
    except flags.UnrecognizedFlagError as error:
        raise JamError(f"flag --{error.flagname} is unknown; use --config, --config.key=value, --workdir") from error
    except flags.Error as error:
        raise JamError(f"{path or 'command line'}: {_wrong_override(argv, schema, error)}") from error
    except (AttributeError, KeyError) as error:
        raise JamError(f"{path}: {_unknown_override(argv, schema, error)}") from error
    except (TypeError, ValueError) as error:
        raise JamError(f"{path}: an override has the wrong type ({_one_line(error)})") from error
    logging.set_verbosity(logging.ERROR)
    return command(validate(config, schema, where=str(path)), holder.workdir) or 0


def _with_found_config(argv: list[str]) -> tuple[list[str], str | None]:
    # Looked up and run here first: config_flags reports a broken config file with a traceback or not at all.
    out, named = list(argv), None
    for i, argument in enumerate(argv):
        if argument in ("--config", "-config") and i + 1 < len(argv):
            out[i : i + 2] = [f"--config={argv[i + 1]}"]
    for i, argument in enumerate(out):
        if argument.startswith(("--config=", "-config=")):
            named, _, arg = argument.split("=", 1)[1].partition(":")
            load_file(named, arg or None)
            out[i] = f"--config={find_file(named)}" + (f":{arg}" if arg else "")
    return out, named


def _unknown_override(argv: list[str], schema: Mapping[str, Field], error: Exception) -> str:
    for argument in argv:
        if argument.startswith("--config."):
            key = argument[len("--config.") :].split("=", 1)[0]
            if key not in schema:
                return f"key '{key}' is unknown{suggest(key, schema)}"
    return _one_line(error)


def _wrong_override(argv: list[str], schema: Mapping[str, Field], error: Exception) -> str:
    for argument in argv:
        key, given, value = argument.removeprefix("--config.").partition("=")
        if given and str(error).startswith(f"flag {argument}:"):
            if key in schema:
                return f"{key} is {value!r}; it needs {_article(schema[key])}"
            parts = [name for name in schema if name.startswith(f"{key}.")]
            return f"'{key}' is a group of keys; set one of {', '.join(parts)}"
    return _one_line(error)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).replace("\\n", " ").split())


def _flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key in config:
        value = config[key]
        if isinstance(value, (Mapping, ConfigDict)):
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _checked(value: Any, field: Field, where: str) -> Any:
    if value is None:
        if field.optional:
            return None
        raise JamError(f"{where} is None; it needs {_article(field)}")
    if field.many:
        values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
        if field.some and not values:
            raise JamError(f"{where} is empty; it needs at least {_article(field)}")
        return tuple(_checked(entry, dataclasses.replace(field, many=False), where) for entry in values)
    if field.type is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, field.type) or (isinstance(value, bool) and field.type is not bool):
        raise JamError(f"{where} is {value!r}; it needs {_article(field)}")
    if field.choices and value not in field.choices:
        raise JamError(f"{where} {value!r} is unknown{suggest(value, field.choices)}")
    # Written so that NaN fails.
    if field.low is not None and not value >= field.low:
        raise JamError(f"{where} is {value}; it must be {_range(field)}")
    if field.high is not None and not value <= field.high:
        raise JamError(f"{where} is {value}; it must be {_range(field)}")
    if field.type is float and not math.isfinite(value):
        raise JamError(f"{where} is {value}; it must be finite")
    return value


def _article(field: Field) -> str:
    names = {int: "an integer", float: "a number", str: "a text", bool: "True or False"}
    return names[field.type] + (f", one of {', '.join(map(str, field.choices))}" if field.choices else "")


def _range(field: Field) -> str:
    if field.high is None:
        return f"{field.low:g} or more"
    return f"within {field.low:g} and {field.high:g}" if field.low is not None else f"at most {field.high:g}"
