"""The AWS API: SigV4 authentication, IAM-style policies, and restJson1 driven by botocore's service model."""
