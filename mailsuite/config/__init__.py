"""The configuration: TOML and environment, read once into the frozen settings that each package owns."""

from mailsuite.config.faults import ConfigError, Fault
from mailsuite.config.load import load_config, locate_config, parse_config
from mailsuite.config.model import Config, Effective, Origin
from mailsuite.config.ports import PORTS, Port
from mailsuite.config.secrets import Secret

__all__ = [
    "PORTS",
    "Config",
    "ConfigError",
    "Effective",
    "Fault",
    "Origin",
    "Port",
    "Secret",
    "load_config",
    "locate_config",
    "parse_config",
]
