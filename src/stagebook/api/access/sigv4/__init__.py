"""AWS Signature Version 4: credentials, the canonical request and its verification."""
