"""Where settings come from: defaults, then the TOML file, then STAGEBOOK_* in the environment, then the command line.

Owns the reading and the typing of values. Must not know what a setting means: `config` says what each must be.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec

from stagebook.config.rules import ConfigError
from stagebook.config.settings import SETTINGS, Setting, Settings

ENVIRONMENT_PREFIX = "STAGEBOOK_"
CONFIG_VARIABLE = "STAGEBOOK_CONFIG"
CONFIG_FILE_LIMIT_BYTES = 1_048_576

_TYPE_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", dict: "a table"}


def load_settings(
    *, flags: Mapping[str, str], environment: Mapping[str, str], config_file: Path | None = None
) -> Settings:
    """Return the settings that these sources say together; later sources win.

    `flags` holds values by setting name as the command line gave them. Raises ConfigError, which names the setting,
    its source and the rule.
    """
    values: dict[str, Any] = {}
    path = config_file or (Path(environment[CONFIG_VARIABLE]) if environment.get(CONFIG_VARIABLE) else None)
    if path is not None:
        values |= _from_file(path)
    values |= _from_environment(environment)
    for name, text in flags.items():
        setting = _known(name, source="the command line")
        values[name] = _from_text(setting, text, source=setting.flag)
    return Settings(**values)


def describe_type(setting: Setting) -> str:
    """Return what a value of this setting is, in words a person can act on."""
    arguments = get_args(setting.type)
    if get_origin(setting.type) is tuple:
        return "a list"
    if arguments and all(isinstance(argument, str) for argument in arguments):
        return "one of " + ", ".join(arguments)
    word = _TYPE_WORDS.get(get_origin(setting.type) or setting.type, "a text")
    limits = setting.rule.range_text()
    return f"{word} {limits}" if limits else word


def _known(name: str, *, source: str) -> Setting:
    setting = SETTINGS.get(name)
    if setting is None:
        raise ConfigError(name=name, source=source, rule="there is no such setting")
    return setting


def _from_file(path: Path) -> dict[str, Any]:
    source = str(path)
    try:
        if path.stat().st_size > CONFIG_FILE_LIMIT_BYTES:
            raise ConfigError(name="config", source=source, rule="the file is too large for a settings file")
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(name="config", source=source, rule=f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(name="config", source=source, rule="is not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(name="config", source=source, rule=f"is not TOML: {error}") from error
    return {name: _typed(_known(name, source=source), value, source=source) for name, value in document.items()}


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values = {}
    for variable, text in environment.items():
        if variable.startswith(ENVIRONMENT_PREFIX) and variable != CONFIG_VARIABLE:
            setting = _known(variable.removeprefix(ENVIRONMENT_PREFIX).lower(), source=variable)
            values[setting.name] = _from_text(setting, text, source=variable)
    return values


def _from_text(setting: Setting, text: str, *, source: str) -> object:
    """Return the value that a text of the environment or the command line stands for. Lists are split at commas, a
    table is `name=value,name=value`."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    value: object = text
    if setting.name == "credentials":
        raise ConfigError(name=setting.name, source=source, rule="can only be set in the TOML file: it holds secrets")
    if get_origin(setting.type) is tuple:
        value = parts
    elif get_origin(setting.type) is dict:
        value = {key.strip(): number.strip() for key, _, number in (part.partition("=") for part in parts)}
    elif setting.type is bool:
        value = text.lower()
    return _typed(setting, value, source=source, strict=False)


def _typed(setting: Setting, value: object, *, source: str, strict: bool = True) -> object:
    try:
        typed = msgspec.convert(value, setting.type, strict=strict)
    except msgspec.ValidationError as error:
        rule = f"must be {setting.rule.rule or describe_type(setting)}"
        if setting.name == "credentials":
            rule = str(error)
        raise ConfigError(name=setting.name, source=source, rule=rule) from error
    refusal = setting.rule.refusal(typed)
    if refusal is not None:
        raise ConfigError(name=setting.name, source=source, rule=refusal)
    return typed
