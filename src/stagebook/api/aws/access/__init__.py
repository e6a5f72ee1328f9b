"""Access control of the AWS API: ownership of resources, call rates and browser origins."""
