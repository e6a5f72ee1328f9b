"""Writes a service model with which the AWS CLI prints the members of an event in alphabetical order.

The CLI prints members in the order of its service model, whatever the order of a response is. The text of the example
on its reference page has them in alphabetical order, that of an earlier model. Run this with the Python that has
botocore, then the CLI with AWS_DATA_PATH:

    python sorted_members.py models
    AWS_DATA_PATH=models aws ivs-realtime list-participant-events ...
"""

import json
import sys
from pathlib import Path

from botocore.loaders import create_loader

SERVICE, SHAPE = "ivs-realtime", "Event"


def write_sorted_model(folder: Path) -> Path:
    """Write the installed model of the service with the members of one shape sorted; return its path."""
    loader = create_loader()
    version = loader.determine_latest_version(SERVICE, "service-2")
    model = loader.load_service_model(SERVICE, "service-2", version)
    members = model["shapes"][SHAPE]["members"]
    model["shapes"][SHAPE]["members"] = dict(sorted(members.items()))
    path = folder / SERVICE / version / "service-2.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(model), encoding="utf-8")
    return path


if __name__ == "__main__":
    print(write_sorted_model(Path(sys.argv[1])))
