"""What huggingface_hub makes of its environment variables: fixtures/hub-environment.json.

    python test/reference/hub_environment.py
"""

import json
import os
import subprocess
import sys
from pathlib import Path

HOME = "/home/user"
CASES = [
    {},
    {"HF_HOME": "/data/hf"},
    {"HF_HOME": "~/hf"},
    {"HF_HOME": "~"},
    {"HF_HOME": "~root/hf"},
    {"HF_HOME": "~no-such-user/hf"},
    {"HF_HOME": "a/~/b"},
    {"HF_HOME": "$DATA/hf", "DATA": "/mnt"},
    {"HF_HOME": "${DATA}/hf", "DATA": "/mnt"},
    {"HF_HOME": "$DATA/hf", "DATA": "$OTHER", "OTHER": "x"},
    {"HF_HOME": "/a/$UNKNOWN/${UNKNOWN}/b"},
    {"HF_HOME": "/a/$", "DATA": "x"},
    {"XDG_CACHE_HOME": "/var/cache"},
    {"XDG_CACHE_HOME": "~/c"},
    {"XDG_CACHE_HOME": "$DATA/c", "DATA": "/mnt"},
    {"XDG_CACHE_HOME": "/var/cache", "HF_HOME": "~/hf"},
    {"HF_HUB_CACHE": "~/hub"},
    {"HF_HUB_CACHE": "$DATA/hub", "DATA": "/mnt"},
    {"HUGGINGFACE_HUB_CACHE": "/old/hub"},
    {"HUGGINGFACE_HUB_CACHE": "~/old"},
    {"HUGGINGFACE_HUB_CACHE": "/old/hub", "HF_HUB_CACHE": "/new/hub"},
    {"HUGGINGFACE_HUB_CACHE": "/old/hub", "HF_HOME": "/data/hf"},
    {"TRANSFORMERS_CACHE": "/very/old"},
    {"HF_TOKEN_PATH": "~/token"},
    {"HF_TOKEN_PATH": "$DATA/token", "DATA": "/mnt", "HF_HOME": "/data/hf"},
    {"HF_TOKEN": "hf_a"},
    {"HF_TOKEN": " hf_a\n"},
    {"HUGGING_FACE_HUB_TOKEN": "hf_b"},
    {"HF_TOKEN": "hf_a", "HUGGING_FACE_HUB_TOKEN": "hf_b"},
    {"HF_TOKEN": "", "HUGGING_FACE_HUB_TOKEN": "hf_b"},
    {"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"},
    {"HF_HUB_OFFLINE": "1"},
    {"HF_HUB_OFFLINE": "on"},
    {"HF_HUB_OFFLINE": "Yes"},
    {"HF_HUB_OFFLINE": "true"},
    {"HF_HUB_OFFLINE": "0"},
    {"HF_HUB_OFFLINE": "2"},
    {"TRANSFORMERS_OFFLINE": "1"},
    {"TRANSFORMERS_OFFLINE": "1", "HF_HUB_OFFLINE": "0"},
    {"TRANSFORMERS_OFFLINE": "1", "HF_HUB_OFFLINE": ""},
    {"HF_ENDPOINT": "https://mirror.example/"},
    {"HF_ENDPOINT": "https://mirror.example//"},
    {"HF_HUB_DISABLE_SYMLINKS": "1"},
]
PROBE = """
import json
from huggingface_hub import constants
from huggingface_hub.utils._auth import _get_token_from_environment
default = constants._HF_DEFAULT_ENDPOINT
print(json.dumps({
    "cache": constants.HF_HUB_CACHE,
    "tokenPath": constants.HF_TOKEN_PATH,
    "token": _get_token_from_environment(),
    "implicitToken": not constants.HF_HUB_DISABLE_IMPLICIT_TOKEN,
    "offline": constants.HF_HUB_OFFLINE,
    "symlinks": not constants.HF_HUB_DISABLE_SYMLINKS,
    "endpoint": None if constants.ENDPOINT == default else constants.ENDPOINT,
}))
"""

rows = []
for case in CASES:
    env = {"PATH": os.environ["PATH"], "HOME": HOME, **case}
    answer = subprocess.run([sys.executable, "-c", PROBE], env=env, capture_output=True, text=True, check=True)
    rows.append({"env": {"HOME": HOME, **case}, "expected": json.loads(answer.stdout)})
target = Path(__file__).parent / "fixtures" / "hub-environment.json"
target.write_text(json.dumps(rows, indent=1) + "\n")
print(f"{len(rows)} cases in {target}")
