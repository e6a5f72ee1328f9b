"""The sources of settings: the defaults, a TOML file, STAGEBOOK_* environment variables and the command line.

Later sources override earlier ones. Values of the file have TOML types and must match the type of the setting. Values
of the environment and the command line are strings and are converted.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec

from stagebook.config.rules import ConfigError
from stagebook.config.settings import ENVIRONMENT_SECRETS, SECRET_SETTINGS, SETTINGS, Setting, Settings

ENVIRONMENT_PREFIX = "STAGEBOOK_"
CONFIG_VARIABLE = "STAGEBOOK_CONFIG"
CONFIG_FILE_LIMIT_BYTES = 1_048_576
"""Far above any real file: it stops the start when the path names a log or a device by mistake."""

_SECRET_RULES = {
    False: "can only be set in the TOML file: it holds secrets",
    True: "can only be set in the TOML file and the environment: it is a secret",
}
"""By whether the setting may be in the environment."""
_TYPE_WORDS = {str: "a string", int: "a whole number", float: "a number", bool: "true or false", dict: "a table"}


def load_settings(
    *, flags: Mapping[str, str], environment: Mapping[str, str], config_file: Path | None = None
) -> Settings:
    """Return the settings from all sources.

    `flags` holds the values of the command line by setting name. `config_file` overrides the file that the environment
    variable STAGEBOOK_CONFIG names. Raises ConfigError for an unknown name, a wrong type or a value that violates its
    rule; it names the setting and the source.
    """
    values: dict[str, Any] = {}
    path = config_file or (Path(environment[CONFIG_VARIABLE]) if environment.get(CONFIG_VARIABLE) else None)
    if path is not None:
        values |= _from_file(path)
    values |= _from_environment(environment)
    for name, value in flags.items():
        setting = _known(name, source="the command line")
        values[name] = _from_string(setting, value, source=setting.flag)
    return Settings(**values)


def describe_type(setting: Setting) -> str:
    """Return the type and range of a setting in words, for example `a whole number from 1 to 64`."""
    arguments = get_args(setting.type)
    if get_origin(setting.type) is tuple:
        return "a list"
    if arguments and all(isinstance(argument, str) for argument in arguments):
        return "one of " + ", ".join(arguments)
    word = _TYPE_WORDS.get(get_origin(setting.type) or setting.type, "a string")
    limits = setting.rule.range_text()
    return f"{word} {limits}" if limits else word


def _known(name: str, *, source: str) -> Setting:
    # An unknown name is an error and not ignored: a misspelled `auth` or `listen` would leave the default in force.
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
    for variable, value in environment.items():
        if variable.startswith(ENVIRONMENT_PREFIX) and variable != CONFIG_VARIABLE:
            setting = _known(variable.removeprefix(ENVIRONMENT_PREFIX).lower(), source=variable)
            if setting.name in ENVIRONMENT_SECRETS:
                values[setting.name] = _typed(setting, value, source=variable)
            else:
                values[setting.name] = _from_string(setting, value, source=variable)
    return values


def _from_string(setting: Setting, string: str, *, source: str) -> object:
    """Return the value of a string from the environment or the command line.

    A list is split at commas, so its members cannot contain one; a table is `name=value,name=value`. Members are
    converted from strings to the types of the setting, which the TOML file does not do.
    """
    parts = [part.strip() for part in string.split(",") if part.strip()]
    value: object = string
    if setting.name in SECRET_SETTINGS:
        raise ConfigError(name=setting.name, source=source, rule=_SECRET_RULES[setting.name in ENVIRONMENT_SECRETS])
    if get_origin(setting.type) is tuple:
        value = parts
    elif get_origin(setting.type) is dict:
        value = {key.strip(): number.strip() for key, _, number in (part.partition("=") for part in parts)}
    elif setting.type is bool:
        value = string.lower()
    return _typed(setting, value, source=source, strict=False)


def _typed(setting: Setting, value: object, *, source: str, strict: bool = True) -> object:
    try:
        typed = msgspec.convert(value, setting.type, strict=strict)
    except msgspec.ValidationError as error:
        requirement = f"must be {setting.rule.requirement or describe_type(setting)}"
        if setting.name in SECRET_SETTINGS:
            # The message names the member; it does not contain the value.
            requirement = str(error)
        raise ConfigError(name=setting.name, source=source, rule=requirement) from error
    violation = setting.rule.violation(typed)
    if violation is not None:
        raise ConfigError(name=setting.name, source=source, rule=violation)
    return typed
