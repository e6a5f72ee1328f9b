"""The restJson1 protocol of AWS: routing data, input, validation, output and errors, from botocore's service model."""
