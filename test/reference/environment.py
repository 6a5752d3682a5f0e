"""Prints this Python's version, and that of each package in requirements.txt, as JSON; null for one that is not there."""

import json
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def installed(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None


lines = Path(__file__).with_name("requirements.txt").read_text().splitlines()
names = [re.match(r"[\w-]+", line)[0] for line in lines if line]
print(json.dumps(dict(python=platform.python_version(), packages={name: installed(name) for name in names})))
