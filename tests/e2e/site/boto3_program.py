"""The examples of the documentation site in Python, run in this process."""

from collections.abc import Mapping

from botocore.exceptions import ClientError

from contrib.site.example_calls import boto3_text
from contrib.site.reference_notes import Example
from tests.e2e.site.example_sequence import ExampleRefusedError, Json


def run_program(example: Example, values: Mapping[str, str]) -> Json:
    """Run the program of an example in this process and return its variable `response`."""
    namespace: dict[str, Json] = {}
    try:
        exec(boto3_text(example, values), namespace)  # noqa: S102 - the text of the documentation is what is tested
    except ClientError as error:
        raise ExampleRefusedError(error.response["Error"]["Code"]) from None
    return namespace["response"]
