"""The AWS door: SigV4, IAM-style policy and restJson1, driven by botocore's own service model."""
